// The page's course: a token, a model and who of it answers, a row, an answer.

import { answerNodes, problemNodes, valueText } from "./answer.js";
import { call, find, list, modelPath, Problem, useToken } from "./api.js";
import { curlLine } from "./curl.js";
import { at, fill, h, options, show } from "./dom.js";
import { RowForm } from "./form.js";

const USABLE = ["candidate", "challenger", "champion", "retired"];
const MAY_PREDICT = ["caller", "scientist", "engineer", "admin"];
const MAY_ASK_A_VERSION = ["scientist", "engineer", "admin"];

/** What the page knows. `turn` counts choices: an answer to an earlier one comes too late and is dropped. */
const state = { turn: 0, roles: [], targets: [], contract: null, form: null, explains: false };

async function signIn(event) {
  event.preventDefault();
  const field = at("token");
  const text = field.value.trim().replace(/^Bearer\s+/i, "");
  field.value = "";
  if (!/^[\x21-\x7e]+$/.test(text)) {
    fill(at("who-problem"), h("p", {}, "That is no token: a token has no spaces and no special letters."));
    field.focus();
    return;
  }
  useToken(text);
  await during("Asking who you are…", at("who-problem"), async () => {
    const me = await call("GET", "v1/me");
    state.roles = me.roles;
    fill(at("caller-text"), "You are ", h("strong", {}, me.sub), `, ${me.roles.join(", ") || "without a role"}`,
      ` in ${me.teams.join(", ") || "no team"}, until ${new Date(me.expires_at).toLocaleString()}.`);
    show(at("token-form"), false);
    show(at("caller"));
    await listModels();
    at("model").focus();
  }, () => {
    useToken(null);
    at("token").focus();
  });
}

function forget() {
  useToken(null);
  state.turn += 1;
  Object.assign(state, { roles: [], targets: [], contract: null, form: null });
  for (const id of ["caller", "which-section", "row-section", "answer-section"]) show(at(id), false);
  for (const id of ["caller-text", "model", "target", "fields", "options", "answer", "answer-problem", "which-problem", "curl"]) {
    fill(at(id));
  }
  show(at("token-form"));
  at("token").focus();
  say("The token is forgotten.");
}

async function listModels() {
  const turn = state.turn;
  const [{ items, isWhole }, canExplain] = await Promise.all([list("v1/models"), explains()]);
  if (turn !== state.turn) return;
  state.explains = canExplain;
  show(at("which-section"));
  show(at("which-form"), items.length > 0);
  fill(at("which-empty"), items.length === 0
    ? h("p", { class: "note" }, "Your teams have no model yet. The client library's ", h("code", {}, "register"),
      " makes one of a fitted estimator.")
    : isWhole ? null : h("p", { class: "hint" }, `The first ${items.length} models.`));
  const named = location.hash.slice(1);
  const names = items.map((model) => model.name);
  fill(at("model"), options(names.map((name) => [name, name]), names.includes(named) ? named : names[0]));
  if (names.length > 0) await chooseModel();
}

/** Whether this service explains answers: its own description says. */
async function explains() {
  const { components } = await call("GET", "openapi.json");
  return "explain" in (components?.schemas?.PredictionRequest?.properties ?? {});
}

async function chooseModel() {
  const turn = (state.turn += 1);
  const name = at("model").value;
  leaveRow();
  await during("Reading the model's versions…", at("which-problem"), async () => {
    const [champion, aliases, versions] = await Promise.all([
      find(modelPath(name, "champion")), list(modelPath(name, "aliases")), list(modelPath(name, "versions")),
    ]);
    if (turn !== state.turn) return;
    state.targets = targetsOf(name, champion, aliases.items, versions.items);
    fill(at("target"), options(state.targets.map((target, i) => [String(i), target.text]), "0"));
    at("target").disabled = state.targets.length === 0;
    fill(at("target-empty"), emptyNote(champion, versions.items));
    if (state.targets.length > 0) await chooseTarget();
  });
}

/** Who can answer: the champion, then the aliases, then every version that passed its examination. */
function targetsOf(name, champion, aliases, versions) {
  const path = modelPath(name, "predict");
  const usable = versions.filter((version) => USABLE.includes(version.stage));
  return [
    ...(champion === null ? [] : [{
      name, version: champion.version, path, roles: MAY_PREDICT, text: `the champion (version ${champion.version})`,
    }]),
    ...aliases.map(({ alias, version }) => ({
      name, version, path: modelPath(`${name}@${alias}`, "predict").replace("%40", "@"), roles: MAY_PREDICT,
      text: `alias ${alias} (version ${version})`,
    })),
    ...usable.map(({ version, stage }) => ({
      name, version, path: `${path}?version=${version}`, roles: MAY_ASK_A_VERSION, text: `version ${version} (${stage})`,
    })),
  ];
}

function emptyNote(champion, versions) {
  if (champion !== null) return null;
  if (versions.length === 0) return h("p", { class: "note" }, "This model has no version yet: register one.");
  if (state.targets.length === 0) {
    const [newest] = versions;
    const reasons = newest.reasons.map((reason) => h("li", {}, reason));
    return h("div", { class: "note" },
      h("p", {}, `No version has passed its examination; version ${newest.version} is ${newest.stage}.`),
      reasons.length === 0 ? null : h("ul", {}, reasons));
  }
  return h("p", { class: "note" }, "This model has no champion yet: whoever asks it without naming a version or an "
    + "alias gets no answer. Promote a version to change that.");
}

async function chooseTarget() {
  const turn = (state.turn += 1);
  const target = state.targets[Number(at("target").value)];
  leaveRow();
  await during("Reading what it takes…", at("which-problem"), async () => {
    const contract = await call("GET", modelPath(target.name, "versions", target.version, "contract"));
    if (turn !== state.turn) return;
    state.contract = contract;
    const may = state.roles.some((role) => target.roles.includes(role));
    fill(at("may"), `To ask this needs one of the roles ${target.roles.join(", ")}; you have `
      + `${state.roles.join(", ") || "none"}.`);
    show(at("may"), !may);
    restore();
    show(at("row-section"));
  });
}

function leaveRow() {
  state.contract = null;
  state.form = null;
  fill(at("which-problem"));
  for (const id of ["row-section", "answer-section"]) show(at(id), false);
}

/** The form anew, with the example in it. */
function restore() {
  state.form = new RowForm(state.contract);
  at("send").disabled = false;
  fill(at("fields"), state.form.element);
  fill(at("options"), state.explains ? h("p", { class: "check" },
    h("input", { type: "checkbox", id: "explain" }), h("label", { for: "explain" }, "Explain the answer")) : null);
  writeCommand();
}

function asked() {
  const { row, faults } = state.form.read();
  const body = JSON.stringify({ rows: [row], ...(at("explain")?.checked ? { explain: true } : {}) });
  return { body, faults, path: state.targets[Number(at("target").value)].path };
}

function writeCommand() {
  if (state.form === null) return;
  const { body, faults, path } = asked();
  fill(at("curl"), faults.length === 0 ? curlLine(path, body) : "Some of the row's values aren't of their type yet.");
  at("copy").disabled = faults.length > 0;
}

async function send(event) {
  event.preventDefault();
  const form = state.form;
  const turn = state.turn;
  const { body, faults, path } = asked();
  form.mark(faults);
  show(at("answer-section"));
  fill(at("answer"));
  if (faults.length > 0) {
    refuse(new Problem(0, { title: "The row isn't complete", errors: faults }), form);
    return;
  }
  at("send").disabled = true;
  try {
    await during("Waiting for the answer…", at("answer-problem"), async () => {
      const answer = await call("POST", path, body);
      if (turn !== state.turn) return;
      const { target } = state.contract.signature;
      fill(at("answer"), answerNodes(answer, target));
      at("answer-section").scrollIntoView({ block: "nearest" });
      say(`The answer: ${valueText(answer, target)}.`);
    }, (problem) => refuse(problem, form));
  } finally {
    if (turn === state.turn) at("send").disabled = false;
  }
}

function refuse(problem, form) {
  say("");
  form.mark(problem.faults);
  fill(at("answer-problem"), h("div", { class: "note error" }, problemNodes(problem, (pointer) => {
    const field = form.at(pointer);
    return field === undefined ? null : () => field.focus();
  })));
}

/**
 * Run `work`, saying what goes on; a Problem is shown in `place` and handed to `failed`, unless
 * something else was chosen in the meantime.
 */
async function during(text, place, work, failed = () => {}) {
  const { turn } = state;
  fill(place);
  say(text);
  try {
    await work();
    if (at("status").textContent === text) say("");
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (turn !== state.turn) return;
    say("");
    fill(place, h("div", { class: "note error" }, problemNodes(problem)));
    failed(problem);
  }
}

function say(text) {
  fill(at("status"), text);
}

async function copy() {
  try {
    await navigator.clipboard.writeText(at("curl").textContent);
    say("The line is copied.");
  } catch {
    // Without a secure origin there is no clipboard; the text can be selected.
    getSelection().selectAllChildren(at("curl"));
    say("The line is selected: copy it with your keyboard.");
  }
}

at("token-form").addEventListener("submit", signIn);
at("forget").addEventListener("click", forget);
at("model").addEventListener("change", chooseModel);
at("target").addEventListener("change", chooseTarget);
at("row-form").addEventListener("submit", send);
at("row-form").addEventListener("input", writeCommand);
at("row-form").addEventListener("change", writeCommand);
at("restore").addEventListener("click", restore);
at("copy").addEventListener("click", copy);
