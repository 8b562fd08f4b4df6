// An answer in words: the value first, then how sure, what looked odd, and why.

import { figure, h } from "./dom.js";

const ACTIONS = new Map([
  ["flag", "A rule of the policy flags this answer: have someone look at it."],
  ["override", "A rule of the policy replaced the model's own value."],
  ["abstain", "A rule of the policy withholds an answer: the model shouldn't decide this row."],
]);

const KINDS = new Map([
  ["unseen_category", "a category that the model wasn't registered with"],
  ["out_of_range", "beyond the range that the model was registered with"],
  ["extreme", "unusually far out for this column"],
  ["combination", "an unusual combination; this column contributes the most"],
]);

/** The first prediction of `answer` in a line. */
export function valueText(answer, target) {
  const [{ value }] = answer.predictions;
  return value === null ? `none for ${target}` : `${target} = ${figure(value)}`;
}

/** Nodes for the first prediction of `answer`; `target` is the name of what is predicted. */
export function answerNodes(answer, target) {
  const [prediction] = answer.predictions;
  const { action } = prediction;
  return [
    h("p", { class: "value" }, h("span", { class: "hint" }, `${target} = `),
      h("strong", {}, prediction.value === null ? "no answer" : figure(prediction.value))),
    ACTIONS.has(action) ? h("p", { class: "note warning" }, ACTIONS.get(action)) : null,
    h("p", { class: "hint" }, `${answer.model}, version ${answer.version}, as ${answer.role}`),
    h("dl", {}, facts(prediction)),
    prediction.scores === undefined ? null : scores(prediction.scores),
    warnings(prediction.warnings ?? []),
    prediction.explanation === undefined ? null : explanation(prediction.explanation),
    h("details", {}, h("summary", {}, "The answer as JSON"),
      h("pre", { tabindex: "0", "aria-label": "The answer as JSON" }, JSON.stringify(answer, null, 2))),
  ];
}

/** Nodes for a refusal. `goTo(pointer)` gives what to do to go to the place, or null. */
export function problemNodes(problem, goTo = () => null) {
  const faults = problem.faults.map((fault) => {
    const go = goTo(fault.pointer);
    const name = lastPart(fault.pointer);
    const place = go === null ? h("code", {}, name) : h("button", { type: "button", class: "link", onclick: go }, name);
    return h("li", {}, place, ` ${fault.detail}`);
  });
  return [
    h("p", {}, h("strong", {}, problem.title), problem.status ? ` (${problem.status})` : ""),
    problem.detail === "" ? null : h("p", {}, problem.detail),
    faults.length === 0 ? null : h("ul", {}, faults),
    problem.instance === null ? null : h("p", { class: "hint" }, "Request ", h("code", {}, problem.instance)),
  ].filter((node) => node !== null);
}

function facts(prediction) {
  const found = [];
  const add = (name, ...content) => found.push(h("dt", {}, name), h("dd", {}, content));
  if (prediction.score !== undefined && prediction.score !== null) {
    add("Score", meter(prediction.score, "Score"), ` ${figure(prediction.score)}, the positive class's probability`);
  }
  if (prediction.set !== undefined && prediction.set !== null) {
    add("Set", prediction.set.length === 0
      ? "empty: no class fits this row at the policy's level"
      : `${prediction.set.join(", ")}: at the policy's level one of these is the true class`);
  }
  if (prediction.interval !== undefined && prediction.interval !== null) {
    const [low, high] = prediction.interval;
    add("Interval", `from ${low === null ? "−∞" : figure(low)} to ${high === null ? "∞" : figure(high)}, `
      + "which holds the true value at the policy's level");
  }
  if (prediction.model_value !== undefined) add("The model's own value", figure(prediction.model_value));
  if ((prediction.rules ?? []).length > 0) add("Rules that fired", prediction.rules.join(", "));
  add("Prediction", h("code", {}, prediction.id));
  return found;
}

function scores(byClass) {
  const rows = Object.entries(byClass).sort(([, a], [, b]) => b - a).map(([label, score]) => h("tr", {},
    h("th", { scope: "row" }, label), h("td", {}, meter(score, label)), h("td", { class: "number" }, figure(score))));
  return h("table", {}, h("caption", {}, "Probability of each class"), h("tbody", {}, rows));
}

function meter(value, label) {
  return h("meter", { min: "0", max: "1", value, "aria-label": label }, figure(value));
}

function warnings(list) {
  if (list.length === 0) return h("p", {}, "Nothing about this row looked odd.");
  const items = list.map((warning) => h("li", {}, h("strong", {}, warning.column ?? "the row"),
    `: ${KINDS.get(warning.kind) ?? warning.kind}`,
    typeof warning.p === "number" ? ` (p = ${figure(warning.p)})` : ""));
  return h("div", { class: "note warning" }, h("p", {}, "What looked odd:"), h("ul", {}, items));
}

function explanation(found) {
  const most = Math.max(...Object.values(found.values).map(Math.abs), Number.MIN_VALUE);
  const rows = Object.entries(found.values).sort(([, a], [, b]) => Math.abs(b) - Math.abs(a)).map(([name, phi]) =>
    h("tr", {}, h("th", { scope: "row" }, name),
      h("td", {}, meter(Math.abs(phi) / most, `${name}, share of the strongest`)),
      h("td", { class: "number" }, `${phi > 0 ? "+" : ""}${figure(phi)}`)));
  const scale = found.scale === undefined ? "" : ` on the scale of ${found.scale}`;
  const about = found.class === undefined ? "" : ` for ${found.class}`;
  const base = `Starting from ${figure(found.base)}, the mean over typical rows${scale}${about}. `;
  const how = found.method === "exact" ? "Every combination of columns was tried."
    : `Estimated from ${found.coalitions} combinations: three standard errors are at most ${figure(found.error)}.`;
  return h("div", {}, h("table", {}, h("caption", {}, "What moved the answer"), h("tbody", {}, rows)),
    h("p", { class: "hint" }, base, how));
}

function lastPart(pointer) {
  const part = pointer.split("/").at(-1) ?? "";
  return part === "" ? "the request" : part.replaceAll("~1", "/").replaceAll("~0", "~");
}
