// An ECG on its paper, in millimetres: which lead lies where, and drawing it. 25 mm/s, 10 mm/mV, like `ecgqa plot`.

export const LEADS = ["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"];
export const LAYOUTS = [["3x4+1", "3 × 4 + rhythm"], ["6x2", "6 × 2"], ["12x1", "12 × 1"]];
export const MM_PER_S = 25;
export const MM_PER_MV = 10;
const ROW_MM = { "3x4+1": 30, "6x2": 25, "12x1": 20 };
const PAPER_S = 10;
const SIDE = 4;
const TOP = 6;
const PULSE = 10;
export const WAVES = [
  ["P", "p_onset", "p_offset", "p_peak", "--wave-p"],
  ["QRS", "qrs_onset", "qrs_offset", "r_peak", "--wave-qrs"],
  ["T", "t_onset", "t_offset", "t_peak", "--wave-t"],
];

// Strips of a layout: lead, stretch of time, left edge and zero line. `hidden` leads leave no gap in a 12 × 1 sheet.
export function arrange(layout, seconds, hidden) {
  const [grid, rhythm] = layout.split("+");
  const [rows, columns] = grid.split("x").map(Number);
  const total = columns === 1 ? seconds : Math.min(seconds, PAPER_S);
  const span = total / columns;
  const height = ROW_MM[layout];
  const strips = [];
  const left = SIDE + PULSE;
  let lines = 0;
  if (columns === 1) {
    LEADS.forEach((lead, place) => {
      if (!hidden.has(lead)) strips.push({ lead: place, from: 0, to: total, left, zero: TOP + (lines++ + 0.5) * height });
    });
  } else {
    for (let place = 0; place < 12; place++) {
      const [column, row] = [Math.floor(place / rows), place % rows];
      if (hidden.has(LEADS[place])) continue;
      const x = left + column * span * MM_PER_S;
      strips.push({ lead: place, from: column * span, to: (column + 1) * span, left: x, zero: TOP + (row + 0.5) * height });
    }
    lines = rows;
  }
  if (rhythm) strips.push({ lead: 1, from: 0, to: total, left, zero: TOP + (lines++ + 0.5) * height });
  return { strips, row: height, width: 2 * SIDE + PULSE + total * MM_PER_S, height: 2 * TOP + Math.max(lines, 1) * height };
}

export function colours(element) {
  const style = getComputedStyle(element);
  const named = (name) => style.getPropertyValue(name).trim();
  return {
    paper: named("--ecg-paper"), fine: named("--ecg-fine"), coarse: named("--ecg-coarse"), ink: named("--ecg-ink"),
    caliper: named("--caliper"), waves: WAVES.map(([, , , , name]) => named(name)), font: style.fontFamily,
  };
}

// Draw a sheet on a canvas. view: {scale: pixels per mm, x, y: mm at the upper left corner}; shift: seconds to the left.
export function draw(context, size, sheet, trace, view, colour, beats, shift = 0) {
  const { scale } = view;
  const X = (mm) => (mm - view.x) * scale;
  const Y = (mm) => (mm - view.y) * scale;
  context.fillStyle = colour.paper;
  context.fillRect(0, 0, size.width, size.height);
  grid(context, size, sheet, view, colour);
  context.save();
  context.beginPath();
  context.rect(X(SIDE), Y(0), (sheet.width - 2 * SIDE) * scale, sheet.height * scale);
  context.clip();
  for (const strip of sheet.strips) {
    if (beats) marks(context, strip, sheet, view, colour, beats, shift);
    line(context, strip, trace, view, colour, size, shift);
  }
  pulses(context, sheet, view, colour);
  context.restore();
  context.font = `600 ${Math.max(11, Math.min(15, 3.2 * scale))}px ${colour.font}`;
  context.textBaseline = "middle";
  for (const strip of sheet.strips) {
    const at = [Math.max(X(strip.left + 1), 4), Y(strip.zero - sheet.row * 0.4)];
    const text = LEADS[strip.lead];
    context.fillStyle = colour.paper;
    context.globalAlpha = 0.75;
    context.fillRect(at[0] - 2, at[1] - 8, context.measureText(text).width + 4, 16);
    context.globalAlpha = 1;
    context.fillStyle = colour.ink;
    context.fillText(text, ...at);
  }
}

function grid(context, size, sheet, view, colour) {
  const { scale } = view;
  for (const [every, stroke, width] of [[1, colour.fine, 0.6], [5, colour.coarse, 0.9]]) {
    if (every * scale < 2.5) continue;
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.beginPath();
    const [x0, x1] = [Math.max(SIDE, view.x), Math.min(sheet.width - SIDE, view.x + size.width / scale)];
    const [y0, y1] = [Math.max(0, view.y), Math.min(sheet.height, view.y + size.height / scale)];
    for (let x = SIDE + Math.ceil((x0 - SIDE) / every) * every; x <= x1 + 1e-6; x += every) {
      context.moveTo((x - view.x) * scale, (y0 - view.y) * scale);
      context.lineTo((x - view.x) * scale, (y1 - view.y) * scale);
    }
    for (let y = Math.ceil(y0 / every) * every; y <= y1 + 1e-6; y += every) {
      context.moveTo((x0 - view.x) * scale, (y - view.y) * scale);
      context.lineTo((x1 - view.x) * scale, (y - view.y) * scale);
    }
    context.stroke();
  }
}

function line(context, strip, trace, view, colour, size, shift) {
  const { samples, n_samples: n, fs_hz: rate, gain_per_mv: gain, invalid } = trace;
  const perSample = (MM_PER_S / rate) * view.scale;
  const x0 = (strip.left - view.x) * view.scale;
  const start = strip.from + shift;
  const first = Math.max(0, Math.round(start * rate), Math.floor(start * rate + (-2 - x0) / perSample));
  const last = Math.min(n - 1, Math.round((strip.to + shift) * rate), Math.ceil(start * rate + (size.width + 2 - x0) / perSample));
  const zero = (strip.zero - view.y) * view.scale;
  const perUnit = (MM_PER_MV * view.scale) / gain[strip.lead];
  const offset = strip.lead * n;
  context.strokeStyle = colour.ink;
  context.lineWidth = Math.max(1, Math.min(1.8, view.scale * 0.28));
  context.lineJoin = "round";
  context.beginPath();
  let down = false;
  for (let i = first; i <= last; i++) {
    const value = samples[offset + i];
    if (value === invalid) {
      down = false;
      continue;
    }
    const x = x0 + (i - start * rate) * perSample;
    const y = zero - value * perUnit;
    if (down) context.lineTo(x, y);
    else context.moveTo(x, y);
    down = true;
  }
  context.stroke();
}

function marks(context, strip, sheet, view, colour, beats, shift) {
  const X = (time) => (strip.left + (time - shift - strip.from) * MM_PER_S - view.x) * view.scale;
  const [top, bottom] = [strip.zero - sheet.row * 0.45, strip.zero + sheet.row * 0.45].map((y) => (y - view.y) * view.scale);
  const inside = (time) => time !== null && time >= strip.from + shift && time < strip.to + shift;
  WAVES.forEach(([, onset, offset, peak], place) => {
    context.fillStyle = colour.waves[place];
    context.strokeStyle = colour.waves[place];
    context.globalAlpha = 0.22;
    beats.consensus[onset].forEach((from, beat) => {
      const to = beats.consensus[offset][beat];
      if (inside(from) && to !== null) context.fillRect(X(from), top, Math.max(1, X(to) - X(from)), bottom - top);
    });
    context.globalAlpha = 0.95;
    context.lineWidth = 1.5;
    context.beginPath();
    for (const time of beats.by_lead[peak][LEADS[strip.lead]]) {
      if (!inside(time)) continue;
      context.moveTo(X(time), bottom - 6);
      context.lineTo(X(time), bottom);
    }
    context.stroke();
    context.globalAlpha = 1;
  });
}

function pulses(context, sheet, view, colour) {
  context.strokeStyle = colour.ink;
  context.lineWidth = Math.max(1, view.scale * 0.25);
  context.beginPath();
  for (const zero of new Set(sheet.strips.map((strip) => strip.zero))) {
    const points = [[1.5, 0], [2.5, 0], [2.5, 1], [7.5, 1], [7.5, 0], [8.5, 0]];
    points.forEach(([x, y], place) => {
      const at = [(SIDE + x - view.x) * view.scale, (zero - y * MM_PER_MV - view.y) * view.scale];
      if (place) context.lineTo(...at);
      else context.moveTo(...at);
    });
  }
  context.stroke();
}

// Lead, time and voltage under a point of the sheet; null between the strips.
export function under(sheet, trace, x, y, shift = 0) {
  const strip = sheet.strips.find((one) => Math.abs(y - one.zero) <= sheet.row / 2 && x >= one.left && x < one.left + (one.to - one.from) * MM_PER_S);
  if (!strip) return null;
  const time = strip.from + (x - strip.left) / MM_PER_S + shift;
  const place = Math.round(time * trace.fs_hz);
  if (place < 0 || place >= trace.n_samples) return null;
  const value = trace.samples[strip.lead * trace.n_samples + place];
  return { lead: LEADS[strip.lead], time, mv: value === trace.invalid ? null : value / trace.gain_per_mv[strip.lead] };
}
