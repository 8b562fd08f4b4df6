// The form of a row, made of a model's contract. What the contract only knows as "seen so far"
// (categories, ranges) is a choice or a hint and never a limit: an unseen value is answered with a
// warning, and trying one is what this page is for.

import { figure, h, options } from "./dom.js";

const OTHER = "other";
const NOTHING = "";

const ROLES = new Map([
  ["subject", "whom the row is about"],
  ["segment", "a segment"],
  ["sensitive", "a sensitive attribute"],
  ["time", "the event's time"],
  ["calendar", "from the calendar"],
]);

const TYPES = new Map([
  ["number", "number"], ["integer", "whole number"], ["datetime", "time with its zone (RFC 3339)"],
]);

const NUMBER = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
const INTEGER = /^[+-]?\d+$/;

/** A value that isn't of its column's type; `detail` says what it must be. */
class Unfit extends Error {}

/** The form of one row: `element` to show, `read()` for the row, `mark(faults)` for what is wrong. */
export class RowForm {
  constructor({ signature, example }) {
    // A map, because a column may be called "constructor" or "__proto__".
    const given = new Map(Object.entries(example ?? {}));
    this.fields = signature.columns.map((column, i) => new Field(column, given.get(column.name), `field-${i}`));
    const required = this.fields.filter((field) => field.column.input);
    const others = this.fields.filter((field) => !field.column.input);
    this.element = h("div", {},
      h("fieldset", { class: "grid" }, h("legend", {}, "What the model reads"), required.map((f) => f.element)),
      others.length === 0 ? null : h("details", {},
        h("summary", {}, `${others.length} more that may be left out`),
        h("fieldset", { class: "grid" }, h("legend", {}, "Kept beside the prediction"), others.map((f) => f.element))),
    );
  }

  /** `{row, faults}`: the row, or what stands in its way, with pointers as the service gives them. */
  read() {
    const row = [];
    const faults = [];
    for (const field of this.fields) {
      try {
        const value = field.read();
        if (value !== undefined) row.push([field.column.name, value]);
      } catch (error) {
        if (!(error instanceof Unfit)) throw error;
        faults.push({ pointer: field.pointer, detail: error.message });
      }
    }
    return { row: Object.fromEntries(row), faults };
  }

  /** Mark the fields that `faults` point at, and no others. */
  mark(faults) {
    for (const field of this.fields) {
      field.mark(faults.filter((fault) => fault.pointer === field.pointer).map((fault) => fault.detail));
    }
  }

  /** The field that a pointer leads to, if there is one. */
  at(pointer) {
    return this.fields.find((field) => field.pointer === pointer);
  }
}

class Field {
  constructor(column, value, id) {
    this.column = column;
    this.id = id;
    this.pointer = `/rows/0/${column.name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    this.error = h("p", { class: "error", id: `${id}-error`, hidden: true });
    this.input = this.control(value);
    this.none = column.nullable && column.input ? this.noneBox(value === null) : null;
    const hint = hintOf(column);
    this.described = hint === "" ? `${id}-error` : `${id}-hint ${id}-error`;
    this.input.setAttribute("aria-describedby", this.described);
    this.element = h("div", { class: "field" },
      h("label", { for: id }, column.name),
      this.input,
      this.other ?? null,
      this.none === null ? null : h("span", { class: "check" }, this.none,
        h("label", { for: `${id}-none` }, "no value", h("span", { class: "hidden" }, ` of ${column.name}`))),
      hint === "" ? null : h("p", { class: "hint", id: `${id}-hint` }, hint),
      this.error,
    );
    this.follow();
  }

  control(value) {
    const { type, categories, input } = this.column;
    if (type === "boolean") return this.choice([["true", "true"], ["false", "false"]], value, String(value));
    if (type === "string" && categories !== null && categories.length > 0) {
      const found = categories.indexOf(value);
      const isOther = typeof value === "string" && found < 0;
      this.other = h("input", {
        type: "text", "aria-label": `Another value of ${this.column.name}`, autocomplete: "off",
        value: isOther ? value : "",
      });
      const pairs = [...categories.map((text, i) => [String(i), text === "" ? "(empty)" : text]),
        [OTHER, "another value…"]];
      return this.choice(pairs, value, isOther ? OTHER : String(found));
    }
    const isNumber = type === "number" || type === "integer";
    return h("input", {
      id: this.id, type: "text", autocomplete: "off", spellcheck: "false",
      inputmode: isNumber ? "text" : null,  // phones' decimal pads have no minus sign
      "aria-required": input ? "true" : null,
      placeholder: type === "datetime" ? "2026-01-31T12:00:00Z" : null,
      value: value === null || value === undefined ? "" : String(value),
    });
  }

  choice(pairs, value, chosen) {
    const isEmpty = value === null || value === undefined;
    const first = this.column.input && !isEmpty ? [] : [[NOTHING, this.column.input ? "choose…" : "left out"]];
    const select = h("select", { id: this.id, onchange: () => this.follow() },
      options([...first, ...pairs], isEmpty ? NOTHING : chosen));
    return select;
  }

  noneBox(isNone) {
    return h("input", { type: "checkbox", id: `${this.id}-none`, checked: isNone, onchange: () => this.follow() });
  }

  /** What depends on a choice: "no value" locks the control, "another value…" opens a text. */
  follow() {
    const isNone = this.none?.checked ?? false;
    this.input.disabled = isNone;
    if (this.other !== undefined) this.other.hidden = isNone || this.input.value !== OTHER;
  }

  /** The value as JSON has it; undefined: left out. */
  read() {
    if (this.none?.checked) return null;
    const text = this.input.value;
    const { type, categories, input } = this.column;
    if (text === NOTHING && !input) return undefined;
    if (type === "boolean") {
      if (text === NOTHING) throw new Unfit("must be chosen");
      return text === "true";
    }
    if (this.other !== undefined) {
      if (text === NOTHING) throw new Unfit("must be chosen");
      return text === OTHER ? this.other.value : categories[Number(text)];
    }
    if (type === "number" || type === "integer") return numberOf(text.trim(), type);
    return type === "datetime" ? text.trim() : text;
  }

  mark(details) {
    const isWrong = details.length > 0;
    this.error.replaceChildren(details.join("; "));
    this.error.hidden = !isWrong;
    for (const control of [this.input, this.other]) {
      if (isWrong) control?.setAttribute("aria-invalid", "true");
      else control?.removeAttribute("aria-invalid");
    }
  }

  focus() {
    this.element.closest("details")?.setAttribute("open", "");
    (this.other === undefined || this.other.hidden ? this.input : this.other).focus();
  }
}

function numberOf(text, type) {
  if (type === "integer") {
    if (!INTEGER.test(text)) throw new Unfit("must be a whole number");
    if (!Number.isSafeInteger(Number(text))) throw new Unfit("is too large to be sent exactly");
    return Number(text);
  }
  if (!NUMBER.test(text)) throw new Unfit("must be a number, such as 12.5");
  if (!Number.isFinite(Number(text))) throw new Unfit("is too large");
  return Number(text);
}

function hintOf(column) {
  const { type, role, range, categories, personal, nullable, input } = column;
  return [
    TYPES.get(type) ?? (type === "string" && categories === null ? "text" : null),
    range === null ? null : `seen from ${figure(range[0])} to ${figure(range[1])}`,
    ROLES.get(role) ?? null,
    personal ? "personal" : null,
    nullable && input ? "may have no value" : null,
  ].filter((part) => part !== null).join(" · ");
}
