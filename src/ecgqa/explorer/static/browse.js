// The list of questions with its filters.
import { get } from "./api.js";
import { fill, h, number, problem, words } from "./dom.js";
import { chips, FilterPanel, filtersOf, query } from "./filters.js";

export async function browse({ main, overview, go, signal }) {
  const panel = new FilterPanel(overview, (parameters) => go(`/${query(parameters)}`));
  let timer;
  const typed = () => {
    const next = filtersOf(location.search);
    if (search.value.trim()) next.set("search", search.value.trim());
    else next.delete("search");
    if (!signal.aborted) go(`/${query(next)}`, { replace: true });
  };
  const search = h("input", {
    type: "search", id: "search", placeholder: "search in the questions", "aria-label": "Search in the questions",
    value: filtersOf(location.search).get("search") ?? "",
    oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(typed, 180);
    },
  });
  const list = h("section", { "aria-label": "Questions", class: "list" });
  fill(main, h("div", { class: "browse" }, h("aside", { "aria-label": "Filters", class: "filters" }, search, panel.element), list));
  const change = (next) => go(`/${query(next)}`);
  let latest = 0;

  async function update() {
    const asked = ++latest;
    const parameters = filtersOf(location.search);
    if (document.activeElement !== search) search.value = parameters.get("search") ?? "";
    const page = new URLSearchParams(location.search).get("page");
    const wanted = new URLSearchParams(parameters);
    if (page) wanted.set("page", page);
    let found;
    try {
      found = await get("questions", query(wanted), signal);
    } catch (error) {
      if (error.name !== "AbortError" && asked === latest) fill(list, chips(parameters, change), problem(error));
      return;
    }
    if (asked !== latest) return;
    panel.show(found.facets, parameters);
    fill(list, listOf(found, parameters, overview, change));
    if (found.runs.length && found.marks === null) setTimeout(() => !signal.aborted && asked === latest && update(), 300);
  }
  await update();

  const step = (by) => {
    const links = [...list.querySelectorAll("a.question")];
    const place = links.indexOf(document.activeElement);
    links[Math.min(Math.max(place + by, 0), links.length - 1)]?.focus();
  };
  return { update, keys: { n: () => step(1), p: () => step(-1), "/": () => search.focus(), f: () => panel.focus() } };
}

function listOf(found, parameters, overview, change) {
  const whole = overview.n_questions === found.total;
  const head = h("div", { class: "list-head" },
    h("h1", { "aria-live": "polite" }, `${number(found.total)} ${found.total === 1 ? "question" : "questions"}`),
    h("span", { class: "soft" }, whole ? `about ${number(overview.n_ecgs)} ECGs` : `of ${number(overview.n_questions)}`));
  if (!found.total) {
    const told = overview.n_questions
      ? { message: "No question passes these filters", fix: "take one of them away, or clear all" }
      : { message: "This store holds ECGs without questions", fix: "ecgqa store build QUESTIONS DEST; the page Ask shows single ECGs" };
    return [head, chips(parameters, change), problem(told)];
  }
  return [head, chips(parameters, change), questionTable(found, query(parameters)), pages(found, parameters)];
}

// A table of questions; also the list of all questions about one ECG.
export function questionTable(found, search) {
  const runs = found.marks ? found.runs : [];
  const about = (one) =>
    `${one.question_type.replaceAll("_", " ")} · ${words(one.attribute_type)} · template ${one.template_id} · ECG ${one.ecg_id.join(", ")} · ${one.split}, ${one.version}`;
  return h("div", { class: "scroll" }, h("table", { class: "questions" },
    h("thead", {}, h("tr", {},
      h("th", { scope: "col" }, "Question"),
      h("th", { scope: "col" }, "Right answer"),
      runs.map((run) => h("th", { scope: "col", class: "run", title: run }, h("span", {}, run))))),
    h("tbody", {}, found.questions.map((one, place) => h("tr", {},
      h("td", {}, h("a", { class: "question", href: questionAddress(one, search) }, one.question), h("small", {}, about(one))),
      h("td", { class: "answer" }, one.answer.join(", ")),
      runs.map((run, which) => h("td", { class: "run" }, mark(found.marks[place][which], run))))))));
}

export const questionAddress = (key, search) => `/question/${key.split}/${key.version}/${key.sample_id}${search}`;

export function mark(right, run) {
  const [sign, name] = { 1: ["✓", "right"], 0: ["✗", "wrong"], "-1": ["·", "not asked"] }[right];
  return h("span", { class: `mark ${name.replace(" ", "-")}`, title: `${run}: ${name}`, role: "img", "aria-label": `${run}: ${name}` }, sign);
}

function pages(found, parameters) {
  const last = Math.ceil(found.total / found.per_page);
  if (last < 2) return null;
  const from = (found.page - 1) * found.per_page;
  const link = (page, text) => {
    const next = new URLSearchParams(parameters);
    if (page > 1) next.set("page", page);
    return page < 1 || page > last ? h("span", { class: "soft" }, text) : h("a", { href: `/${query(next)}` }, text);
  };
  const shown = found.questions.length ? `${number(from + 1)} to ${number(from + found.questions.length)}` : "none";
  return h("nav", { class: "pages", "aria-label": "Pages" },
    link(found.page - 1, "← previous"),
    h("span", {}, `${shown} of ${number(found.total)}`),
    link(found.page + 1, "next →"));
}
