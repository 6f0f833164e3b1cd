// Counts of the whole store at a glance.
import { get } from "./api.js";
import { fill, h, number, problem, words } from "./dom.js";

export async function stats({ main, signal }) {
  const found = await get("stats", "", signal);
  if (!found.n_questions) {
    fill(main, h("h1", {}, "Statistics"), problem({ message: "This store holds ECGs without questions", fix: "ecgqa store build QUESTIONS DEST" }));
    return {};
  }
  fill(main,
    h("h1", {}, "Statistics"),
    h("p", { class: "soft" }, `${number(found.n_questions)} questions, ${number(found.n_ecgs)} ECGs. A bar leads to its questions.`),
    legend(found.splits),
    h("div", { class: "charts" },
      chart("Question types", found.question_type, found, "question_type", (name) => name.replaceAll("_", " ")),
      chart("Attribute types", found.attribute_type, found, "attribute_type"),
      chart("Right answers", found.answer, found, "answer"),
      chart("Templates", found.template, found, "template", (name) => `${name}: ${found.templates[name].replaceAll("_", " ")}`),
      chart("Answers per question", found.n_answers, found),
      found.together.length ? chart("Answers right together", found.together, found) : null,
      chart(`Questions per ECG (median ${number(found.reuse.median)}, at most ${number(found.reuse.most)})`, found.reuse.classes, found),
      chart("Words per question", found.words, found),
      leaks(found.shared)));
  return {};
}

const legend = (splits) => h("p", { class: "legend" }, splits.map((split, place) => h("span", { class: `split-${place}` }, split)));

function chart(title, rows, found, field = null, name = words) {
  const most = Math.max(1, ...rows.map((row) => row.n));
  const part = (n, className) => {
    const bar = h("span", { class: `part ${className}` });
    bar.style.width = `${(100 * n) / most}%`;
    return bar;
  };
  const bars = (row) => (row.by_split ? found.splits.map((split, place) => part(row.by_split[split] ?? 0, `split-${place}`)) : part(row.n, "split-0"));
  const line = (row) => {
    const inside = [h("span", { class: "label" }, name(row.name)), h("span", { class: "bars", "aria-hidden": "true" }, bars(row)), h("span", { class: "n" }, number(row.n))];
    return h("li", {}, field ? h("a", { href: `/?${new URLSearchParams({ [field]: row.name })}` }, inside) : h("span", { class: "line" }, inside));
  };
  return h("section", { class: rows.every((row) => row.name.length < 8 && !row.by_split) ? "card chart short" : "card chart", "aria-label": title }, h("h2", {}, title), h("ul", { tabindex: "0" }, rows.map(line)));
}

function leaks(rows) {
  if (!rows.length) return null;
  const told = ({ what, first, second, n, n_second }) => `${first} and ${second}: ${number(n)} ${what} in both (${second} has ${number(n_second)})`;
  const clean = rows.every(({ what, n }) => !n || what.startsWith("texts"));
  return h("section", { class: "card", "aria-label": "Split leaks" }, h("h2", {}, "Split leaks"),
    h("p", { class: clean ? "good" : "warn" }, clean ? "No ECG and no patient is in two splits." : "Some ECGs or patients are in two splits."),
    h("ul", {}, rows.map((row) => h("li", {}, told(row)))));
}
