// The filters of the question list: their controls, and the address that says what they are set to.
import { h, number, options, refill, words } from "./dom.js";

export const FIELDS = [
  ["split", "Split"],
  ["version", "Wording"],
  ["question_type", "Question type"],
  ["attribute_type", "Attribute type"],
  ["answer", "Right answer"],
  ["attribute", "Attribute"],
  ["template", "Template"],
];
const NAMES = [...FIELDS.map(([name]) => name), "search", "agreement", "right", "wrong", "run", "given", "ecg"];
const AGREEMENTS = [
  ["", "any"],
  ["all_right", "all right"],
  ["all_wrong", "all wrong"],
  ["disagree", "runs disagree"],
  ["pair", "one right, one wrong"],
];
const LONG = 9;

// The filters of an address, without page and other words.
export function filtersOf(search) {
  const kept = new URLSearchParams();
  for (const [name, value] of new URLSearchParams(search)) if (NAMES.includes(name)) kept.append(name, value);
  return kept;
}

export const query = (parameters) => (parameters.size ? `?${parameters}` : "");

export class FilterPanel {
  constructor(overview, change) {
    this.overview = overview;
    this.change = change;
    this.opened = new Set(matchMedia("(min-width: 62rem)").matches ? ["split", "question_type"] : []);
    this.narrowed = {};
    this.element = h("div", { class: "filter-fields" });
  }

  show(facets, parameters) {
    this.parameters = parameters;
    this.facets = facets;
    refill(
      this.element,
      this.overview.runs.length ? this.agreement() : null,
      FIELDS.map(([name, title]) => (facets[name].length ? this.field(name, title, facets[name]) : null)),
    );
  }

  // Changes start from the address, not from what is shown: the answer to the change before may still be on its way.
  set(name, value) {
    const next = filtersOf(location.search);
    if (value) next.set(name, value);
    else next.delete(name);
    return next;
  }

  agreement() {
    const chosen = this.parameters.get("agreement") ?? "";
    const runs = this.overview.runs.map((run) => [run, run]);
    const pick = (name) => {
      const change = (event) => this.change(this.set(name, event.target.value));
      return h("label", { class: "pick" }, `${name} `, h("select", { id: `filter-${name}`, onchange: change }, options(runs, this.parameters.get(name))));
    };
    const change = (event) => {
      const next = this.set("agreement", event.target.value);
      next.delete("right");
      next.delete("wrong");
      if (event.target.value === "pair") {
        next.set("right", this.overview.runs.at(-1));
        next.set("wrong", this.overview.runs[0]);
      }
      this.change(next);
    };
    const kinds = this.overview.runs.length > 1 ? AGREEMENTS : AGREEMENTS.slice(0, 3);
    return h("fieldset", {},
      h("legend", {}, "Answers of the runs"),
      h("select", { id: "filter-agreement", "aria-label": "Agreement between runs", onchange: change }, options(kinds, chosen)),
      chosen === "pair" ? [pick("right"), pick("wrong")] : null);
  }

  field(name, title, values) {
    const chosen = new Set(this.parameters.getAll(name));
    const narrow = (this.narrowed[name] ?? "").toLowerCase();
    const shown = values.filter((value) => !narrow || value.name.toLowerCase().includes(narrow) || chosen.has(value.name));
    if (values.length > LONG && name !== "template") shown.sort((a, b) => chosen.has(b.name) - chosen.has(a.name) || b.n - a.n);
    const boxes = shown.map((value) => {
      const change = (event) => this.toggle(name, value.name, event.target.checked);
      return h("label", { class: "choice" },
        h("input", { type: "checkbox", id: `filter-${name}-${value.name}`, checked: chosen.has(value.name), onchange: change }),
        h("span", { class: "name" }, name === "question_type" ? value.name.replaceAll("_", " ") : words(value.name)),
        h("span", { class: "n" }, number(value.n)));
    });
    const narrowing = (event) => {
      this.narrowed[name] = event.target.value;
      this.show(this.facets, this.parameters);
    };
    return h("details", {
      open: this.opened.has(name) || chosen.size > 0,
      ontoggle: (event) => this.opened[event.target.open ? "add" : "delete"](name),
    },
      h("summary", { id: `filter-summary-${name}` }, title, chosen.size ? h("span", { class: "badge" }, chosen.size) : null),
      values.length > LONG ? h("input", {
        type: "search", id: `narrow-${name}`, placeholder: `narrow ${number(values.length)} …`, value: this.narrowed[name] ?? "",
        "aria-label": `Narrow the list: ${title}`, oninput: narrowing,
      }) : null,
      h("div", { class: "choices", id: `choices-${name}`, "data-keep-scroll": true, role: "group", "aria-label": title }, boxes));
  }

  toggle(name, value, on) {
    const next = filtersOf(location.search);
    const values = next.getAll(name).filter((one) => one !== value);
    next.delete(name);
    for (const one of on ? [...values, value] : values) next.append(name, one);
    this.change(next);
  }

  focus() {
    (this.element.querySelector("details[open] input[type=checkbox]") ?? this.element.querySelector("summary"))?.focus();
  }
}

// What is filtered by, each with a button that takes it away.
export function chips(parameters, change) {
  const titles = Object.fromEntries(FIELDS);
  const pair = `${parameters.get("right")} right, ${parameters.get("wrong")} wrong`;
  const text = {
    search: (value) => `“${value}”`,
    ecg: (value) => `ECG in row ${value}`,
    agreement: (value) => (value === "pair" ? pair : words(value)),
    given: (value) => `${parameters.get("run")} answered ${value}`,
  };
  const together = { agreement: ["agreement", "right", "wrong"], given: ["given", "run"] };
  const shown = [...parameters].filter(([name]) => !["right", "wrong", "run"].includes(name));
  if (!shown.length) return null;
  const remove = (name, value) => {
    const next = new URLSearchParams();
    const gone = together[name] ?? [name];
    for (const [other, kept] of parameters) if (!gone.includes(other) || (titles[name] && kept !== value)) next.append(other, kept);
    change(next);
  };
  const chip = ([name, value]) => {
    const label = titles[name] ? `${titles[name]}: ${words(value)}` : text[name](value);
    return h("button", { type: "button", class: "chip", "aria-label": `Remove the filter ${label}`, onclick: () => remove(name, value) }, label, " ×");
  };
  return h("p", { class: "chips" },
    shown.map(chip),
    h("button", { type: "button", class: "chip clear", onclick: () => change(new URLSearchParams()) }, "clear all"));
}
