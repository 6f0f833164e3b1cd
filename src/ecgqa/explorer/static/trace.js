// Looking at one ECG, or at two of them aligned: zoom, pan, calipers, hiding leads, beats and waves.
import { get, getTrace } from "./api.js";
import { fill, h, options, problem } from "./dom.js";
import { arrange, colours, draw, LAYOUTS, LEADS, MM_PER_MV, MM_PER_S, under, WAVES } from "./sheet.js";

const MOST_PX_PER_MM = 40;

export class TraceView {
  // ecgs: [{key, title}]. Everything is shown in `element`.
  constructor(ecgs, signal) {
    this.ecgs = ecgs;
    this.signal = signal;
    this.layout = "3x4+1";
    this.hidden = new Set();
    this.view = { scale: 0, x: 0, y: 0 };
    this.calipers = { on: false, ends: null, sheet: 0 };
    this.beats = null;
    this.aligned = false;
    this.pointers = new Map();
    this.readout = h("output", { class: "readout", "aria-live": "polite" });
    this.panes = ecgs.map((ecg, place) => this.pane(ecg, place));
    this.element = h("section", { class: "trace", "aria-label": ecgs.length > 1 ? "ECG traces" : "ECG trace" },
      this.toolbar(), this.panes.map((pane) => pane.figure));
    this.resized = new ResizeObserver(() => this.fit(true));
    this.themed = () => this.paint();
    window.addEventListener("themechange", this.themed);
    signal.addEventListener("abort", () => {
      this.resized.disconnect();
      window.removeEventListener("themechange", this.themed);
    });
  }

  async load() {
    try {
      await Promise.all(this.panes.map(async (pane) => {
        pane.trace = await getTrace(pane.ecg.key, this.signal);
        this.element.dataset.loaded = String(Number(this.element.dataset.loaded ?? 0) + 1);
      }));
    } catch (error) {
      if (error.name !== "AbortError") fill(this.element, problem(error));
      return;
    }
    this.seconds = Math.max(...this.panes.map(({ trace }) => trace.n_samples / trace.fs_hz));
    this.rearrange();
    for (const pane of this.panes) this.resized.observe(pane.box);
  }

  pane(ecg, place) {
    const canvas = h("canvas", { tabindex: "0", role: "img", "aria-label": `${ecg.title}: twelve leads, 25 mm/s, 10 mm/mV`, "aria-describedby": "trace-keys" });
    const box = h("div", { class: "sheet" }, canvas);
    const figure = h("figure", {}, h("figcaption", {}, h("span", {}, ecg.title), h("span", { class: "soft" }, "25 mm/s   10 mm/mV")), box);
    const at = (event) => {
      const edge = canvas.getBoundingClientRect();
      return { px: event.clientX - edge.left, py: event.clientY - edge.top };
    };
    canvas.addEventListener("pointerdown", (event) => this.down(place, event, at(event)));
    canvas.addEventListener("pointermove", (event) => this.move(place, event, at(event)));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, (event) => this.up(event));
    canvas.addEventListener("pointerleave", () => this.say());
    canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const { px, py } = at(event);
      this.zoom(Math.exp(-event.deltaY / 300), px, py);
    }, { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event, place));
    return { ecg, canvas, box, figure, trace: null };
  }

  toolbar() {
    const button = (name, label, text, act, pressed) =>
      h("button", { type: "button", "data-tool": name, title: label, "aria-label": label, "aria-pressed": pressed, onclick: act }, text);
    const leads = LEADS.map((lead) => button(`lead-${lead}`, `Show lead ${lead}`, lead, () => this.toggleLead(lead), "true"));
    this.bar = h("div", { class: "toolbar", role: "toolbar", "aria-label": "Trace" },
      h("select", { "aria-label": "Layout", "data-tool": "layout", onchange: (event) => {
        this.layout = event.target.value;
        this.rearrange();
      } }, options(LAYOUTS, this.layout)),
      h("span", { class: "group" },
        button("zoom-out", "Zoom out (-)", "−", () => this.zoom(1 / 1.4)),
        button("fit", "Whole sheet (0)", "fit", () => this.fit()),
        button("zoom-in", "Zoom in (+)", "+", () => this.zoom(1.4))),
      button("calipers", "Calipers (c)", "calipers", () => this.toggleCalipers(), "false"),
      button("beats", "Beats and waves (b)", "beats", () => this.toggleBeats(), "false"),
      this.ecgs.length > 1 ? button("align", "Let the first whole beats coincide", "align beats", () => this.toggleAlign(), "false") : null,
      h("span", { class: "group leads", role: "group", "aria-label": "Leads shown" }, leads),
      this.readout,
      h("span", { class: "legend", hidden: true }, WAVES.map(([name]) => h("span", { class: `wave ${name.toLowerCase()}` }, name))),
      h("span", { id: "trace-keys", class: "unseen" }, "Arrow keys move the trace, plus and minus zoom, c switches calipers, b marks beats"));
    return this.bar;
  }

  tool(name) {
    return this.bar.querySelector(`[data-tool="${name}"]`);
  }

  press(name, on) {
    this.tool(name).setAttribute("aria-pressed", String(on));
  }

  rearrange() {
    for (const pane of this.panes) pane.sheet = arrange(this.layout, this.seconds, this.hidden);
    this.calipers.ends = null;
    this.fit();
    this.say();
  }

  // Show the whole sheet; when only the window changed (`keep`), a zoomed view stays where it is.
  fit(keep = false) {
    if (!this.panes[0].sheet) return;
    const { width, height } = this.panes[0].sheet;
    const across = this.panes[0].box.clientWidth;
    if (!across) return;
    const whole = across / Math.min(width, 288);
    const zoomed = keep && this.view.scale > this.least * 1.001;
    this.least = whole;
    if (!zoomed) this.view = { scale: whole, x: 0, y: 0 };
    for (const pane of this.panes) {
      const ratio = window.devicePixelRatio || 1;
      pane.size = { width: across, height: Math.round(height * whole) };
      pane.canvas.width = Math.round(across * ratio);
      pane.canvas.height = Math.round(pane.size.height * ratio);
      pane.canvas.style.height = `${pane.size.height}px`;
      pane.context = pane.canvas.getContext("2d");
      pane.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.paint();
  }

  paint() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => {
      this.waiting = 0;
      this.panes.forEach((pane, place) => {
        if (!pane.context) return;
        const colour = colours(pane.canvas);
        draw(pane.context, pane.size, pane.sheet, pane.trace, this.view, colour, this.beats?.[place], this.shift(place));
        if (this.calipers.on && this.calipers.ends && this.calipers.sheet === place) this.drawCalipers(pane, colour);
        pane.canvas.style.touchAction = this.calipers.on || this.view.scale > this.least * 1.001 ? "none" : "pan-y";
        Object.assign(pane.canvas.dataset, { scale: this.view.scale.toFixed(3), x: this.view.x.toFixed(2), y: this.view.y.toFixed(2), strips: pane.sheet.strips.length });
      });
    });
  }

  clamp() {
    const { sheet, size } = this.panes[0];
    this.view.scale = Math.min(Math.max(this.view.scale, this.least), MOST_PX_PER_MM);
    const most = (length, shown) => Math.max(0, length - shown / this.view.scale);
    this.view.x = Math.min(Math.max(this.view.x, 0), most(sheet.width, size.width));
    this.view.y = Math.min(Math.max(this.view.y, 0), most(sheet.height, size.height));
    this.paint();
  }

  zoom(factor, px = this.panes[0].size.width / 2, py = this.panes[0].size.height / 2) {
    const [x, y] = [this.view.x + px / this.view.scale, this.view.y + py / this.view.scale];
    this.view.scale = Math.min(Math.max(this.view.scale * factor, this.least), MOST_PX_PER_MM);
    this.view.x = x - px / this.view.scale;
    this.view.y = y - py / this.view.scale;
    this.clamp();
  }

  pan(dx, dy) {
    this.view.x += dx;
    this.view.y += dy;
    this.clamp();
  }

  millimetres({ px, py }) {
    return { x: this.view.x + px / this.view.scale, y: this.view.y + py / this.view.scale };
  }

  down(place, event, at) {
    if (event.button) return;
    this.panes[place].canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, at);
    if (!this.calipers.on || this.pointers.size > 1) return;
    const point = this.millimetres(at);
    const ends = this.calipers.sheet === place ? this.calipers.ends : null;
    const near = ends?.findIndex((end) => Math.hypot(end.x - point.x, end.y - point.y) * this.view.scale < 14) ?? -1;
    this.calipers.sheet = place;
    if (near >= 0) this.calipers.ends = near ? ends : [ends[1], ends[0]];
    else this.calipers.ends = [point, { ...point }];
    this.measured();
  }

  move(place, event, at) {
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      this.hover(place, at);
      return;
    }
    if (this.pointers.size === 2) {
      const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, one]) => one);
      const apart = (one) => Math.max(20, Math.hypot(one.px - other.px, one.py - other.py));
      this.zoom(apart(at) / apart(before), (at.px + other.px) / 2, (at.py + other.py) / 2);
    } else if (this.calipers.on) {
      this.calipers.ends[1] = this.millimetres(at);
      this.measured();
    } else this.pan((before.px - at.px) / this.view.scale, (before.py - at.py) / this.view.scale);
    this.pointers.set(event.pointerId, at);
  }

  up(event) {
    this.pointers.delete(event.pointerId);
  }

  key(event, place) {
    const moves = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!moves || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.shiftKey ? 5 : 1;
    if (this.calipers.on) {
      if (!this.calipers.ends) {
        const { size } = this.panes[place];
        const middle = this.millimetres({ px: size.width / 2, py: size.height / 2 });
        this.calipers.ends = [middle, { ...middle }];
        this.calipers.sheet = place;
      }
      this.calipers.ends[1].x += moves[0] * step * 0.5;
      this.calipers.ends[1].y += moves[1] * step * 0.5;
      this.measured();
    } else if (this.view.scale > this.least * 1.001) this.pan(moves[0] * step * 5, moves[1] * step * 5);
    else return;
    event.preventDefault();
  }

  hover(place, at) {
    if (this.calipers.on && this.calipers.ends) return;
    const pane = this.panes[place];
    if (!pane.sheet || !pane.trace) return;
    const { x, y } = this.millimetres(at);
    const found = under(pane.sheet, pane.trace, x, y, this.shift(place));
    if (found) this.say(`${found.lead}   ${found.time.toFixed(3)} s   ${found.mv === null ? "not recorded" : `${found.mv.toFixed(2)} mV`}`);
    else this.say();
  }

  say(text) {
    this.readout.textContent = text ?? (this.calipers.on ? "calipers: drag from one point to another" : "");
  }

  toggleCalipers() {
    this.calipers = { on: !this.calipers.on, ends: null, sheet: 0 };
    this.press("calipers", this.calipers.on);
    this.say();
    this.paint();
  }

  measured() {
    const [a, b] = this.calipers.ends;
    const ms = Math.abs(b.x - a.x) / MM_PER_S * 1000;
    const mv = (a.y - b.y) / MM_PER_MV;
    const rate = ms >= 150 ? `   ${Math.round(60000 / ms)} /min` : "";
    this.say(`${Math.round(ms)} ms   ${mv.toFixed(2)} mV${rate}`);
    this.paint();
  }

  drawCalipers(pane, colour) {
    const [a, b] = this.calipers.ends.map(({ x, y }) => [(x - this.view.x) * this.view.scale, (y - this.view.y) * this.view.scale]);
    const { context, size } = pane;
    context.strokeStyle = colour.caliper;
    context.fillStyle = colour.caliper;
    context.lineWidth = 1.2;
    context.setLineDash([5, 3]);
    context.beginPath();
    for (const [x, y] of [a, b]) {
      context.moveTo(x, 0);
      context.lineTo(x, size.height);
      context.moveTo(Math.min(a[0], b[0]) - 12, y);
      context.lineTo(Math.max(a[0], b[0]) + 12, y);
    }
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 0.12;
    context.fillRect(a[0], a[1], b[0] - a[0], b[1] - a[1]);
    context.globalAlpha = 1;
    for (const [x, y] of [a, b]) {
      context.beginPath();
      context.arc(x, y, 4, 0, 7);
      context.fill();
    }
  }

  toggleLead(lead) {
    if (!this.hidden.delete(lead)) this.hidden.add(lead);
    this.press(`lead-${lead}`, !this.hidden.has(lead));
    this.rearrange();
  }

  async fetchBeats() {
    this.found ??= await Promise.all(this.panes.map((pane) => get(`ecg/${pane.ecg.key}/beats`, "", this.signal)));
    return this.found;
  }

  async toggleBeats() {
    try {
      this.beats = this.beats ? null : await this.fetchBeats();
    } catch (error) {
      if (error.name !== "AbortError") this.say(error.message);
      return;
    }
    this.press("beats", Boolean(this.beats));
    this.bar.querySelector(".legend").hidden = !this.beats;
    if (this.beats) this.say(this.beats.map((found) => `${found.n_beats} beats`).join(", "));
    this.paint();
  }

  async toggleAlign() {
    try {
      await this.fetchBeats();
    } catch (error) {
      if (error.name !== "AbortError") this.say(error.message);
      return;
    }
    this.aligned = !this.aligned;
    this.press("align", this.aligned);
    const [a, b] = this.found.map((found) => found.consensus.r_peak.filter((time) => time !== null)[0]);
    if (this.aligned) this.say(a === undefined || b === undefined ? "no beat was found in one of them" : `shifted by ${Math.round(Math.abs(a - b) * 1000)} ms`);
    else this.say();
    this.paint();
  }

  // Seconds that a sheet is shifted to the left so that the first beats of both lie above one another.
  shift(place) {
    if (!this.aligned) return 0;
    const first = this.found.map((found) => found.consensus.r_peak.filter((time) => time !== null)[0]);
    return first.some((time) => time === undefined) ? 0 : first[place] - Math.min(...first);
  }

  keys() {
    return {
      c: () => this.toggleCalipers(), b: () => this.toggleBeats(),
      "+": () => this.zoom(1.4), "=": () => this.zoom(1.4), "-": () => this.zoom(1 / 1.4), 0: () => this.fit(),
    };
  }
}
