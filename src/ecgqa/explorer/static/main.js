// The shell: which view an address shows, links without reloading, theme, keyboard, help.
import { get } from "./api.js";
import { ask } from "./ask.js";
import { browse } from "./browse.js";
import { fill, h, problem } from "./dom.js";
import { ecg, question } from "./question.js";
import { results } from "./results.js";
import { stats } from "./stats.js";

const main = document.getElementById("view");
const VIEWS = [
  [/^\/$/, browse, "browse", "Questions"],
  [/^\/question\/([^/]+)\/([^/]+)\/(\d+)$/, question, "browse", "Question"],
  [/^\/ecg\/(\d+)$/, ecg, "browse", "ECG"],
  [/^\/results$/, results, "results", "Results"],
  [/^\/stats$/, stats, "stats", "Statistics"],
  [/^\/ask$/, ask, "ask", "Ask"],
];
let current = { keys: {}, path: null };
let overview;

export function go(address, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"]({}, "", address);
  return show();
}

async function show() {
  const path = location.pathname;
  if (current.path === path && current.update) return current.update();
  current.stop?.abort();
  const found = VIEWS.map(([pattern, ...rest]) => [path.match(pattern), ...rest]).find(([match]) => match);
  const stop = new AbortController();
  current = { keys: {}, path, stop };
  if (!found) {
    fill(main, problem({ message: "There is nothing at this address", fix: "go back to the questions" }));
    return;
  }
  const [match, view, name, title] = found;
  for (const link of document.querySelectorAll("nav a[data-view]")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${title} · ecgqa explore`;
  main.setAttribute("aria-busy", "true");
  try {
    overview ??= await get("overview");
    document.getElementById("store").textContent = overview.store;
    const shown = await view({ main, overview, go, signal: stop.signal }, ...match.slice(1).map(decodeURIComponent));
    if (!stop.signal.aborted) Object.assign(current, shown);
  } catch (error) {
    if (error.name !== "AbortError" && !stop.signal.aborted) fill(main, problem(error));
  }
  if (!stop.signal.aborted) main.removeAttribute("aria-busy");
}

document.addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  const target = new URL(link.href, location.href);
  if (target.origin !== location.origin || link.target || link.getAttribute("href").startsWith("#")) return;
  event.preventDefault();
  go(target.pathname + target.search).then(() => link.dataset.stay === undefined && window.scrollTo(0, 0));
});
window.addEventListener("popstate", show);

const remembered = () => {
  try {
    return localStorage.getItem("ecgqa-theme");
  } catch {
    return null; // storage is switched off: the system's choice holds
  }
};
function setTheme(theme, remember = true) {
  document.documentElement.dataset.theme = theme;
  try {
    if (remember) localStorage.setItem("ecgqa-theme", theme);
  } catch {
    // not remembered, then
  }
  window.dispatchEvent(new Event("themechange"));
}
const dark = matchMedia("(prefers-color-scheme: dark)");
setTheme(remembered() ?? (dark.matches ? "dark" : "light"), false);
dark.addEventListener("change", () => remembered() ?? setTheme(dark.matches ? "dark" : "light", false));
document.getElementById("theme").addEventListener("click", () =>
  setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"),
);

const KEYS = [
  ["n  p", "next, previous question"],
  ["Enter", "open the question in focus"],
  ["/", "search in the questions"],
  ["f", "filters"],
  ["l", "back to the list"],
  ["b", "beats and waves on the trace"],
  ["c", "calipers"],
  ["+  -  0", "zoom in, out, whole sheet"],
  ["arrows", "move the trace in focus, or with calipers on their second end"],
  ["t", "light, dark"],
  ["?", "this help"],
];
const dialog = document.getElementById("help-dialog");
function help() {
  if (dialog.open) return dialog.close();
  fill(
    dialog,
    h("h2", { id: "help-title" }, "Keyboard"),
    h("dl", { class: "keys" }, KEYS.map(([key, text]) => [h("dt", {}, h("kbd", {}, key)), h("dd", {}, text)])),
    h("p", { class: "soft" }, "On the trace: drag to move, Ctrl and wheel or two fingers to zoom. Every view has its own address: bookmark or share it."),
    h("p", { class: "soft" }, "Research use only, not for clinical use."),
    h("button", { type: "button", onclick: () => dialog.close() }, "Close"),
  );
  return dialog.showModal();
}
document.getElementById("help").addEventListener("click", help);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.matches?.("input:not([type=checkbox]):not([type=radio]), textarea, select")) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key === "?") help();
  else if (dialog.open) return;
  else if (event.key === "t") document.getElementById("theme").click();
  else if (current.keys?.[event.key]) current.keys[event.key](event);
  else return;
  event.preventDefault();
});

show();
