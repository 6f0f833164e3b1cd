// One question with its ECGs, answers and everything known; and the same for an ECG alone.
import { get } from "./api.js";
import { mark, questionAddress, questionTable } from "./browse.js";
import { fill, h, number, table, words } from "./dom.js";
import { filtersOf, query } from "./filters.js";
import { TraceView } from "./trace.js";

const MANY = 12;

export async function question({ main, overview, go, signal }, split, version, sample) {
  const filters = query(filtersOf(location.search));
  const found = await get(`question/${split}/${version}/${sample}`, filters, signal);
  const { question: asked, place } = found;
  const titles = asked.ecg_id.map((id, at) => (asked.ecg_id.length > 1 ? `${at ? "Second" : "First"} ECG: ${id}` : `ECG ${id}`));
  const view = new TraceView(found.ecgs.map((one, at) => ({ key: one.record.row, title: about(one.record, titles[at]) })), signal);
  const to = (key) => key && questionAddress(key, filters);
  const link = (key, text, label) => (key ? h("a", { href: to(key), "aria-label": label, "data-stay": true }, text) : h("span", { class: "soft" }, text));
  const wide = found.replies.length > 3;
  const where = place.index === null ? "not in the list" : `${number(place.index + 1)} of ${number(place.total)}`;
  fill(main,
    h("nav", { class: "trail", "aria-label": "Place in the list" },
      h("a", { href: `/${filters}` }, "↑ questions"), link(place.previous, "← previous", "Previous question"), h("span", {}, where), link(place.next, "next →", "Next question")),
    h("h1", { class: "asked" }, asked.question),
    h("p", { class: "soft" }, `${asked.question_type.replaceAll("_", " ")} · ${words(asked.attribute_type)} · template ${asked.template_id} · question ${asked.question_id} · ${asked.split}, ${asked.version}, sample ${asked.sample_id}`,
      asked.attribute ? ` · about ${asked.attribute.join(", ")}` : null),
    h("p", { class: "gold" }, "Right answer: ", h("strong", {}, asked.answer.join(", "))),
    view.element,
    h("p", {}, h("a", { href: askAddress(found.ecgs) }, found.ecgs.length > 1 ? "ask something else about these ECGs" : "ask something else about this ECG")),
    wide ? answers(found, overview) : null,
    h("div", { class: "columns" }, wide ? null : answers(found, overview), found.ecgs.map((one, at) => known(one, overview, titles[at]))),
    found.ecgs.map((one, at) => others(one, overview, titles[at])));
  view.load();
  const step = (key) => key && go(to(key));
  return { keys: { ...view.keys(), n: () => step(place.next), p: () => step(place.previous), l: () => go(`/${filters}`) } };
}

export async function ecg({ main, overview, go, signal }, row) {
  const found = await get(`ecg/${row}`, "", signal);
  const title = `ECG ${found.record.ecg_id}`;
  const view = new TraceView([{ key: row, title: about(found.record, title) }], signal);
  fill(main,
    h("nav", { class: "trail", "aria-label": "Place" }, h("a", { href: "/" }, "↑ questions")),
    h("h1", {}, title), h("p", {}, h("a", { href: askAddress([found]) }, "ask a question about this ECG")),
    view.element, h("div", { class: "columns" }, known(found, overview, title)), others(found, overview, title));
  view.load();
  return { keys: { ...view.keys(), l: () => go("/") } };
}

function askAddress([first, second]) {
  const parameters = new URLSearchParams({ ecg: first.record.row });
  if (second) parameters.set("second", second.record.row);
  return `/ask?${parameters}`;
}

function about(record, title) {
  const parts = [title, record.age === null ? null : `${Math.round(record.age)} years`, record.sex, record.recorded_at?.slice(0, 16)];
  return parts.filter(Boolean).join("   ");
}

// Candidates with the right answer, and what every run gave and scored.
function answers(found, overview) {
  const { question: asked, options, replies } = found;
  const right = new Set(asked.answer);
  const given = (reply, candidate) => reply?.answer.includes(candidate);
  const score = (reply, candidate) => reply?.scores?.[options.indexOf(candidate)] ?? null;
  const interest = (candidate) => (right.has(candidate) ? 4 : 0) + Math.max(0, ...replies.map(({ reply }) => (given(reply, candidate) ? 2 : 0) + (score(reply, candidate) ?? 0)));
  const many = asked.candidates.length > MANY;
  const sorted = many ? [...asked.candidates].sort((a, b) => interest(b) - interest(a)) : asked.candidates;
  const head = ["Candidate", ...replies.map(({ run, reply }) => [h("span", {}, run, " ", mark(reply ? Number(reply.right) : -1, run)), { class: "run-head" }])];
  const row = (candidate) => [
    [h("span", {}, candidate, right.has(candidate) ? h("span", { class: "badge right" }, "right") : null), { class: right.has(candidate) ? "is-right" : null }],
    ...replies.map(({ reply }) => [cell(given(reply, candidate), score(reply, candidate)), { class: given(reply, candidate) ? "given" : null }]),
  ];
  const part = h("div", {}, table("Candidates and answers", head, sorted.slice(0, MANY).map(row), "answers"));
  const more = many ? h("button", { type: "button", onclick: () => fill(part, table("Candidates and answers", head, sorted.map(row), "answers")) && more.remove() }, `show all ${number(sorted.length)} candidates`) : null;
  const odd = replies.filter(({ reply }) => reply && (reply.status !== "ok" || reply.raw));
  return h("section", { class: "card", "aria-labelledby": "answers-title" },
    h("h2", { id: "answers-title" }, "Answers"),
    part, more,
    overview.runs.length ? null : h("p", { class: "soft" }, "No predictions were given. Try: ecgqa explore STORE PREDICTIONS.parquet"),
    odd.map(({ run, reply }) => h("details", {}, h("summary", {}, `${run}: ${reply.status}`), h("pre", {}, reply.raw ?? "no reply was kept"))));
}

function cell(given, score) {
  const bar = h("span", { class: "bar", "aria-hidden": "true" });
  if (score !== null) bar.style.setProperty("--share", `${Math.round(100 * score)}%`);
  return h("span", { class: "score" },
    h("span", { class: "tick", "aria-label": given ? "given" : null, role: given ? "img" : null }, given ? "●" : ""), score === null ? null : [score.toFixed(2), bar]);
}

function known(one, overview, title) {
  const told = (text) => h("p", { class: "soft" }, text);
  const rows = (one.attributes ?? []).map((row) => [
    h("span", {}, row.attribute, row.leads.length ? h("small", {}, row.leads.length === 12 ? "all leads" : row.leads.join(", ")) : null),
    [row.value, { class: `value-${row.value}` }], row.number === null ? "" : `${Number(row.number.toPrecision(4))} ${row.unit ?? ""}`, row.origin]);
  const findings = (one.findings ?? []).map((row) => [
    h("span", {}, row.attribute, row.leads.length ? h("small", {}, row.leads.join(", ")) : null),
    [row.probability?.toFixed(2) ?? "–", { class: row.shown ? "given" : null }], row.threshold?.toFixed(2) ?? "–"]);
  return h("section", { class: "card", "aria-label": title },
    h("h2", {}, h("a", { href: `/ecg/${one.record.row}` }, title)),
    h("h3", {}, "Report"),
    one.report === null ? told(overview.has.reports ? "This ECG has no report." : "This store holds no reports.") : h("blockquote", {}, one.report),
    h("h3", {}, "Attributes and where they came from"),
    one.attributes === null ? told("No attribute table was given. Try: ecgqa explore STORE --attributes ATTRIBUTES")
      : rows.length ? table("Attributes", ["Attribute", "Value", "Number", "Origin"], rows, "known") : told("The attribute table says nothing of this ECG."),
    one.findings === null ? null : [h("h3", {}, "What the classifier found"),
      findings.length ? table("Findings", ["Finding", "Probability", "Threshold"], findings, "known") : told("The findings say nothing of this ECG.")],
    one.record.flags?.length ? h("p", { class: "warn" }, `Signal: ${one.record.flags.join(", ")}`) : null,
    told(`${one.record.source}, ${one.record.path}, patient ${one.record.patient_id ?? "unknown"}`));
}

function others(one, overview, title) {
  const { total, questions, marks } = one.others;
  if (!total) return null;
  return h("details", { class: "card others" },
    h("summary", {}, `${title}: ${number(total)} other ${total === 1 ? "question" : "questions"}`),
    questionTable({ questions, marks, runs: overview.runs }, `?ecg=${one.record.row}`),
    total > questions.length ? h("p", {}, h("a", { href: `/?ecg=${one.record.row}` }, `all ${number(total)} in the list`)) : null);
}
