// Building the document from nodes and text alone: no markup is ever parsed, so nothing that the
// service or a model says can become a part of the page.

/**
 * An element. An attribute of `true` is set empty, one of null, undefined or `false` is left out;
 * names that begin with "on" are listeners. Children are nodes or texts; empty ones are left out.
 */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** The element of the page with this id. */
export function at(id) {
  return document.getElementById(id);
}

export function fill(element, ...children) {
  element.replaceChildren(...children.flat().filter((child) => child !== null && child !== undefined));
}

export function show(element, isShown = true) {
  element.hidden = !isShown;
}

/** Options of a select from `[value, text]`. */
export function options(pairs, chosen = undefined) {
  return pairs.map(([value, text]) => h("option", { value, selected: value === chosen }, text));
}

/** A number as people read it: at most six significant digits, and exact in the title. */
export function figure(value) {
  if (typeof value !== "number") return String(value);
  return Number.isInteger(value) && Math.abs(value) < 1e15 ? String(value) : String(Number(value.toPrecision(6)));
}
