// The service as this page asks it. Addresses are relative, so any stage and domain will do; the token
// lives in this module's memory and nowhere else.

const MOST_LISTED = 2000;
const PAGE = 200;

let token = null;

export function useToken(text) {
  token = text;
}

/** A refusal: the service's problem details (RFC 9457), or our own words when it gave none. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail ?? document.title ?? "The request failed.");
    this.status = status;
    this.title = document.title ?? "The request failed";
    this.detail = document.detail ?? "";
    this.faults = Array.isArray(document.errors) ? document.errors : [];
    this.instance = document.instance ?? null;
  }
}

/** The JSON of an answer; throws a Problem. `body` is JSON text. */
export async function call(method, path, body = undefined) {
  const headers = { Accept: "application/json" };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  let text;
  try {
    answer = await fetch(path, {
      method, headers, body, cache: "no-store", credentials: "omit", redirect: "error",
    });
    text = await answer.text();
  } catch {
    throw new Problem(0, {
      title: "The service didn't answer",
      detail: "There is no connection to it, or it broke off. Try again.",
    });
  }
  const content = parsed(text);
  if (answer.ok && content !== undefined) return content;
  if (answer.status === 401) {
    throw new Problem(401, {
      title: "The token isn't valid",
      detail: "It may have expired, or be of another issuer. Get a new one and paste it above.",
      instance: content?.instance,
    });
  }
  throw new Problem(answer.status, isObject(content) ? content : {
    title: `The service answered ${answer.status}`,
    detail: "Its answer can't be read.",
  });
}

/** What `call` gives, or null where there is no such thing. */
export async function find(path) {
  try {
    return await call("GET", path);
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 404) return null;
    throw problem;
  }
}

/** All items of a list, page by page. */
export async function list(path) {
  const items = [];
  let cursor = null;
  do {
    const query = new URLSearchParams({ limit: PAGE, ...(cursor === null ? {} : { cursor }) });
    const page = await call("GET", `${path}?${query}`);
    items.push(...page.items);
    cursor = page.next;
  } while (cursor !== null && items.length < MOST_LISTED);
  return { items, isWhole: cursor === null };
}

/** The relative address of a model, or of a part of it. */
export function modelPath(name, ...parts) {
  return ["v1/models", ...[name, ...parts].map(encodeURIComponent)].join("/");
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
