// A question in free words about an ECG of the store or an uploaded one.
import { get, post } from "./api.js";
import { fill, h, number, percent, problem, table } from "./dom.js";
import { query } from "./filters.js";
import { TraceView } from "./trace.js";

export async function ask({ main, overview, go, signal }) {
  const chosen = h("div", {});
  const reply = h("div", { "aria-live": "polite" });
  const asked = () => new URLSearchParams(location.search);
  const text = h("input", { id: "question", type: "text", maxlength: "500", placeholder: "is the QRS duration above the normal range?", value: asked().get("question") ?? "" });
  const id = h("input", { id: "ecg-id", type: "number", min: "0", step: "1", placeholder: "ECG id" });
  const second = h("input", { id: "second-id", type: "number", min: "0", step: "1", placeholder: "second ECG id, for a comparison" });
  const files = h("input", { id: "files", type: "file", multiple: true, accept: ".hea,.dat,.mat,.csv,.tsv,.txt" });
  const rate = h("input", { id: "rate", type: "number", min: "1", step: "any", placeholder: "Hz" });
  const drop = h("div", { class: "drop" }, h("label", { for: "files" }, "Upload a record: the .hea and .dat of a WFDB record, or a .csv with one column per lead"), files,
    h("label", { for: "rate" }, "Sampling rate of a .csv without times "), rate);
  const told = h("div", {});
  const address = (changes) => {
    const next = asked();
    for (const [name, value] of Object.entries(changes)) if (value || value === 0) next.set(name, value);
      else next.delete(name);
    return `/ask${query(next)}`;
  };
  let view = { keys: () => ({}) };
  let viewing = null;

  async function choose(event) {
    event.preventDefault();
    fill(told);
    try {
      if (!id.value) throw Object.assign(new Error("No ECG was named"), { fix: "type the id of one of the store's ECGs" });
      const rows = await Promise.all([id, second].filter((input) => input.value).map((input) => get(`ecg/${encodeURIComponent(input.value)}`, "?by=id", signal)));
      await go(address({ ecg: rows[0].record.row, second: rows[1]?.record.row, upload: "" }));
    } catch (error) {
      if (error.name !== "AbortError") fill(told, problem(error));
    }
  }

  async function upload(given) {
    fill(told, h("p", { class: "soft", role: "status" }, "Reading …"));
    const form = new FormData();
    for (const file of given) form.append("file", file, file.name);
    if (rate.value) form.append("fs_hz", rate.value);
    try {
      const found = await post("upload", form);
      fill(told);
      await go(address({ upload: found.key, ecg: "", second: "" }));
    } catch (error) {
      fill(told, problem(error));
    }
    files.value = "";
  }
  files.addEventListener("change", () => files.files.length && upload([...files.files]));
  drop.addEventListener("dragover", (event) => event.preventDefault());
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files.length) upload([...event.dataTransfer.files]);
  });

  const keysOf = () => (asked().get("upload") ? [asked().get("upload")] : [asked().get("ecg"), asked().get("second")].filter((key) => key !== null));

  async function put(event) {
    event.preventDefault();
    history.replaceState({}, "", address({ question: text.value.trim() }));
    if (!keysOf().length) return fill(reply, problem({ message: "No ECG was chosen", fix: "name one of the store's ECGs, or upload a record" }));
    fill(reply, h("p", { class: "soft", role: "status" }, "Reading the ECG …"));
    try {
      fill(reply, answered(await post("ask", { question: text.value, ecgs: keysOf() })));
      if (!view.beats) view.toggleBeats?.();
    } catch (error) {
      fill(reply, problem(error));
    }
    return undefined;
  }

  fill(main,
    h("h1", {}, "Ask"),
    h("p", { class: "soft" }, overview.reader ? `Answers come from ${overview.reader}.` : "Nothing trained was given: questions on intervals, the heart axis and noise are answered by measuring. More with: ecgqa explore STORE --run RUN, or --classifier RUN."),
    h("div", { class: "columns" },
      h("section", { class: "card" }, h("h2", {}, "An ECG"),
        h("form", { onsubmit: choose, class: "row" }, h("label", { for: "ecg-id" }, `One of the store's ${number(overview.n_ecgs)} ECGs `), id, h("label", { for: "second-id", class: "unseen" }, "Second ECG"), second, h("button", {}, "look")),
        drop, told),
      h("section", { class: "card" }, h("h2", {}, "A question"),
        h("form", { onsubmit: put, class: "row" }, h("label", { for: "question", class: "unseen" }, "Question"), text, h("button", { class: "main" }, "ask")),
        reply)),
    chosen);

  async function update() {
    const keys = keysOf();
    if (viewing === keys.join()) return;
    viewing = keys.join();
    fill(reply);
    if (!keys.length) {
      fill(chosen, h("p", { class: "soft" }, "The trace appears here once an ECG is chosen."));
      return;
    }
    try {
      const found = await Promise.all(keys.map((key) => get(`ecg/${encodeURIComponent(key)}`, "", signal)));
      const title = (one) => (one.record ? `ECG ${one.record.ecg_id}` : `${one.name}   ${(one.trace.n_samples / one.trace.fs_hz).toFixed(1)} s at ${one.trace.fs_hz} Hz`);
      view = new TraceView(keys.map((key, place) => ({ key, title: title(found[place]) })), signal);
      const flags = found.flatMap((one) => one.flags ?? one.record?.flags ?? []);
      fill(chosen, view.element, flags.length ? h("p", { class: "warn" }, `Signal: ${flags.join(", ")}`) : null);
      view.load();
    } catch (error) {
      if (error.name !== "AbortError") fill(chosen, problem(error));
    }
  }
  await update();
  const pass = (key) => [key, (event) => view.keys()[key]?.(event)];
  return { update, keys: { ...Object.fromEntries(["c", "b", "+", "=", "-", "0"].map(pass)), "/": () => text.focus(), l: () => go("/") } };
}

// An answer with how it was understood and what it rests on.
function answered(found) {
  const { understood, measured } = found;
  const scores = Object.entries(found.scores).sort((a, b) => b[1] - a[1]).slice(0, 20);
  const which = (place) => (measured.length > 1 ? ["first ECG", "second ECG"][place] : "");
  return [
    h("p", { class: "gold" }, "Answer: ", h("strong", {}, found.answer.join(", ") || `none (${found.status})`)),
    h("p", { class: "soft" }, `Reader: ${found.reader}. ${found.disclaimer}`),
    h("p", {}, `Understood as: “${understood.sentence}” (template ${understood.template_id}, confidence ${percent(understood.confidence, 0)})`),
    understood.others.length ? h("details", {}, h("summary", {}, "other readings of the question"),
      h("ul", {}, understood.others.map((one) => h("li", {}, `${one.sentence} (${percent(one.confidence, 0)})`)))) : null,
    found.findings.length ? [h("h3", {}, "Findings looked up (above 50 % = shown)"), table("Findings looked up", ["Finding", "Truth", ""],
      found.findings.map((one) => [[one.name, one.leads].filter(Boolean).join(" in "), percent(one.truth), which(one.ecg)]), "known")] : null,
    scores.length ? [h("h3", {}, "Scores (above 50 % = answered)"), table("Scores", ["Answer", "Score"], scores.map(([name, score]) => [name, percent(score)]), "known")] : null,
    found.reply ? h("pre", {}, found.reply) : null,
    measured.map((lines, place) => [h("h3", {}, ["Measured", which(place)].filter(Boolean).join(", ")), h("ul", { class: "measured" }, lines.map((line) => h("li", {}, line)))]),
  ];
}
