// Building elements. Text from data only ever becomes text nodes and attributes, never markup.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "open") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (Array.isArray(child)) append(element, child);
    else if (child !== null && child !== undefined && child !== false) {
      element.append(child instanceof Node ? child : document.createTextNode(String(child)));
    }
  }
}

export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

// Replace what `element` holds, keeping the keyboard focus on the control of the same id.
export function refill(element, ...children) {
  const focused = element.contains(document.activeElement) ? document.activeElement : null;
  const caret = focused?.type === "search" ? focused.selectionStart : null;
  const scrolled = [...element.querySelectorAll("[data-keep-scroll]")].map((part) => [part.id, part.scrollTop]);
  fill(element, ...children);
  for (const [id, top] of scrolled) {
    const part = document.getElementById(id);
    if (part) part.scrollTop = top;
  }
  const again = focused?.id && document.getElementById(focused.id);
  if (again) {
    again.focus({ preventScroll: true });
    if (caret !== null) again.setSelectionRange(caret, caret);
  }
  return element;
}

export const number = (value) => Number(value).toLocaleString("en");
export const percent = (value, digits = 1) => (value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)} %`);
export const words = (name) => String(name).replace(/^comparison_/, "").replaceAll("_", " ");

// A name that may be broken after its underscores.
export const breakable = (name) => name.replaceAll("_", "_\u200b");

export function options(values, chosen) {
  return values.map(([value, text]) => {
    const option = h("option", { value }, text);
    option.selected = value === chosen;
    return option;
  });
}

// A table: head cells, rows of cells (a cell is text, a node, or [content, attributes]).
export function table(label, head, rows, className = "") {
  const cells = (row, first) =>
    row.map((cell, place) => {
      const [content, more] = Array.isArray(cell) ? cell : [cell, {}];
      const isHead = first || place === 0;
      return h(isHead ? "th" : "td", { ...(isHead ? { scope: first ? "col" : "row" } : {}), ...more }, content);
    });
  const head_ = h("thead", {}, h("tr", {}, cells(head, true)));
  const body = h("tbody", {}, rows.map((row) => h("tr", {}, cells(row, false))));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, h("table", { class: className }, head_, body));
}

export function problem(error) {
  const lines = [["expected", error.expected], ["found", error.found], ["try", error.fix]].filter(([, text]) => text);
  return h(
    "div",
    { class: "problem", role: "alert" },
    h("p", {}, h("strong", {}, error.message)),
    lines.length ? h("dl", {}, lines.map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])) : null,
  );
}
