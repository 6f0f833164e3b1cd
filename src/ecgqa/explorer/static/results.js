// The tables of `ecgqa report`, live: runs side by side, by group, confusion, disagreements.
import { get } from "./api.js";
import { breakable, fill, h, number, options, percent, problem, table, words } from "./dom.js";
import { query } from "./filters.js";

const COLUMNS = ["em_candidates", "em_set", "em_argmax", "option_f1_macro", "auroc_macro", "auprc_macro"];
const LINKED = { question_type: "question_type", attribute_type: "attribute_type", template: "template", split: "split", version: "version" };

export async function results({ main, go, signal }) {
  const body = h("div", { class: "results" });
  fill(main, h("h1", {}, "Results"), body);

  async function update() {
    const asked = new URLSearchParams(location.search);
    let found;
    try {
      do {
        found = await get("results", query(asked), signal);
        if (found.waiting) {
          if (!body.querySelector(".waiting")) fill(body, h("p", { class: "waiting", role: "status" }, "Scoring every run, with intervals … this is done once."));
          await new Promise((done) => setTimeout(done, 350));
        }
      } while (found.waiting && !signal.aborted);
    } catch (error) {
      if (error.name !== "AbortError") fill(body, problem(error));
      return;
    }
    if (!signal.aborted) show(body, found, asked, go);
  }
  await update();
  return { update };
}

function show(body, found, asked, go) {
  const pick = (name, label, values) => {
    const change = (event) => {
      const next = new URLSearchParams(location.search);
      if (event.target.value) next.set(name, event.target.value);
      else next.delete(name);
      go(`/results${query(next)}`);
    };
    return h("label", {}, label, " ", h("select", { id: `pick-${name}`, onchange: change }, options(values, asked.get(name) ?? values[0][0])));
  };
  const metric = asked.get("metric") ?? "em_candidates";
  const breakdown = asked.get("breakdown") ?? "question_type";
  const where = { split: asked.get("split"), version: asked.get("version") };
  const link = (more, text, label) => {
    const parameters = new URLSearchParams(Object.entries({ ...where, ...more }).filter(([, value]) => value));
    return h("a", { href: `/${query(parameters)}`, "aria-label": label }, text);
  };
  const about = found.about;
  fill(body,
    h("p", { class: "picks" },
      pick("split", "Split", [["", "all predicted"], ["train", "train"], ["valid", "valid"], ["test", "test"]]),
      pick("version", "Wording", [["", "both"], ["template", "template"], ["paraphrased", "paraphrased"]])),
    h("p", { class: "soft" }, `${number(about.n_questions)} questions about ${number(about.n_ecgs)} ECGs (${about.splits.join(", ")}; ${about.versions.join(", ")}). In parentheses: 95 % interval, ${number(about.n_resamples)} resamples of ECGs.`),
    overall(found),
    h("h2", {}, "By group"),
    h("p", { class: "picks" },
      pick("breakdown", "Grouped by", [["question_type", words("question_type")], ...Object.keys(found.breakdowns).filter((name) => name !== "question_type").map((name) => [name, words(name)])]),
      pick("metric", "Metric", Object.entries(found.metrics).map(([name, { title }]) => [name, title]))),
    h("p", { class: "soft" }, found.metrics[metric].definition),
    groups(found, breakdown, link),
    disagreements(found, link),
    confusion(found, link),
    outcomes(found));
}

const value = (row, best) => [
  row?.value === undefined || row.value === null ? "–"
    : h("span", {}, percent(row.value), row.low === null ? null : h("small", {}, `(${(100 * row.low).toFixed(1)} to ${(100 * row.high).toFixed(1)})`)),
  { class: best ? "best" : null }];

function overall(found) {
  const columns = [...COLUMNS.map((metric) => ["overall", metric]), ["macro", "em_candidates"]];
  const of = (run, [breakdown, metric]) => found.overall.find((row) => row.run === run && row.breakdown === breakdown && row.metric === metric);
  const most = columns.map((column) => Math.max(...found.runs.map((run) => of(run, column)?.value ?? -1)));
  const title = ([breakdown, metric]) => [breakdown === "macro" ? `${found.metrics[metric].title}, ${found.macro}` : found.metrics[metric].title, { title: found.metrics[metric].definition }];
  return table("Runs side by side", ["Run", ...columns.map(title)],
    found.runs.map((run) => [run, ...columns.map((column, place) => value(of(run, column), found.runs.length > 1 && of(run, column)?.value === most[place]))]), "scores");
}

function groups(found, breakdown, link) {
  const names = [...new Set(found.groups.map((row) => row.group))];
  const of = (run, group) => found.groups.find((row) => row.run === run && row.group === group);
  const field = LINKED[breakdown];
  return table("Scores by group", ["Group", ...found.runs.map(breakable), "Questions"], names.map((group) => {
    const most = Math.max(...found.runs.map((run) => of(run, group)?.value ?? -1));
    const name = group.replaceAll("_", " ");
    return [field ? link({ [field]: group }, name, `Questions of ${name}`) : name,
      ...found.runs.map((run) => value(of(run, group), found.runs.length > 1 && of(run, group)?.value === most)),
      number(found.groups.find((row) => row.group === group).n_questions)];
  }), "scores");
}

function disagreements(found, link) {
  if (found.runs.length < 2) return null;
  const of = (right, wrong) => found.pairs.find((pair) => pair.right === right && pair.wrong === wrong).n;
  return [h("h2", {}, "Disagreements"),
    h("p", {}, link({ agreement: "disagree" }, "questions on which the runs disagree"), ", ", link({ agreement: "all_wrong" }, "which all got wrong"), ", ", link({ agreement: "all_right" }, "which all got right"), ". Below: how often the run of the row was right where that of the column was wrong."),
    table("Disagreements", ["Right ↓  wrong →", ...found.runs.map(breakable)], found.runs.map((right) => [right,
      ...found.runs.map((wrong) => (right === wrong ? "" : link({ agreement: "pair", right, wrong }, number(of(right, wrong)), `${right} right, ${wrong} wrong: ${of(right, wrong)} questions`)))]), "scores")];
}

function confusion(found, link) {
  const types = [...new Set(found.confusion.map((row) => row.question_type))].sort((a, b) => b.startsWith("single") - a.startsWith("single"));
  if (!types.length) return null;
  const one = (run, type) => {
    const rows = found.confusion.filter((row) => row.run === run && row.question_type === type);
    const given = [...new Set(rows.map((row) => row.given))].sort();
    const right = [...new Set(rows.map((row) => row.right))].sort();
    const of = (a, b) => rows.find((row) => row.right === a && row.given === b)?.n_questions ?? 0;
    return h("figure", { class: "confusion" }, h("figcaption", {}, run),
      table(`Confusion of ${run}, ${type}`, ["right ↓  given →", ...given], right.map((a) => [a, ...given.map((b) => {
        const n = of(a, b);
        const total = given.reduce((sum, other) => sum + of(a, other), 0);
        return [n ? link({ question_type: type, answer: a, run, given: b }, number(n), `${run}: ${a} answered ${b}, ${n} questions`) : "0", { class: `shade shade-${Math.round((4 * n) / total)}${a === b ? " hit" : ""}` }];
      })]), "scores"));
  };
  return [h("h2", {}, "Confusion between answers"),
    types.map((type, place) => h("details", { open: place === 0 }, h("summary", {}, type.replaceAll("_", " ")), h("div", { class: "confusions" }, found.runs.map((run) => one(run, type)))))];
}

function outcomes(found) {
  const states = ["ok", "unparseable", "refused", "failed"];
  const of = (run, status) => found.outcomes.find((row) => row.run === run && row.status === status)?.n_questions ?? 0;
  return [h("h2", {}, "Outcomes"),
    h("p", { class: "soft" }, "A question without a usable answer counts as wrong; one without a row counts as failed."),
    table("Outcomes", ["Run", ...states], found.runs.map((run) => [run, ...states.map((status) => number(of(run, status)))]), "scores")];
}
