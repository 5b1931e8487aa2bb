/** Colours of points that a colour-blind reader can tell apart too; missing is grey. No DOM. */

// Okabe & Ito's palette without black, for a dark ground; beyond eight names a second shape begins.
export const PALETTE = ["#56b4e9", "#e69f00", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#4a7fe0", "#f2f2f2"];
export const MISSING = "#5b6570";
export const SHAPES = ["disc", "square", "ring"];
const RAMP = [[24, 58, 112], [66, 86, 128], [112, 113, 130], [165, 148, 118], [219, 191, 84], [255, 234, 70]];
const LEVELS = 48;
const TAIL = 0.02; // of the values at each end share the last colours, so that one far value does not grey all others

/**
 * column: { kind: "category", names, values: number of a name or -1 } or { kind: "number", values: number or null };
 * null colours all points alike. Returns { marks: [{ colour, shape }], of: Uint8Array of a mark for each row, legend:
 * [{ mark, name, count }], range: [low, high] or null }.
 */
export function keyOf(column, n) {
  if (!column) {
    return { marks: [{ colour: PALETTE[0], shape: "disc" }], of: new Uint8Array(n), legend: [], range: null };
  }
  return column.kind === "number" ? numbers(column) : categories(column);
}

function categories({ names, values }) {
  const marks = names.map((name, n) => markOf(name, n));
  marks.push({ colour: MISSING, shape: "disc" });
  const of = Uint8Array.from(values, (value) => (value < 0 ? names.length : value));
  const counts = new Uint32Array(marks.length);
  of.forEach((mark) => { counts[mark] += 1; });
  const legend = marks.map((_, mark) => ({ mark, name: names[mark] ?? "not known", count: counts[mark] }));
  return { marks, of, legend: legend.filter((one) => one.count), range: null };
}

function markOf(name, n) {
  if (name === "other") {
    return { colour: "#8d99a6", shape: "square" };
  }
  return { colour: PALETTE[n % PALETTE.length], shape: SHAPES[Math.floor(n / PALETTE.length) % SHAPES.length] };
}

function numbers({ values }) {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  const low = known[Math.floor(TAIL * (known.length - 1))] ?? 0;
  const high = known[Math.ceil((1 - TAIL) * (known.length - 1))] ?? 1;
  const marks = Array.from({ length: LEVELS }, (_, n) => ({ colour: ramp(n / (LEVELS - 1)), shape: "disc" }));
  marks.push({ colour: MISSING, shape: "disc" });
  const of = Uint8Array.from(values, (value) => (value === null ? LEVELS : level(value, low, high)));
  const missing = values.length - known.length;
  return { marks, of, legend: missing ? [{ mark: LEVELS, name: "not known", count: missing }] : [], range: [low, high] };
}

function level(value, low, high) {
  const share = high > low ? (value - low) / (high - low) : 0.5;
  return Math.round(Math.min(Math.max(share, 0), 1) * (LEVELS - 1));
}

/** The colour of a share from 0 (dark blue) to 1 (yellow), rising in lightness. */
export function ramp(share) {
  const at = Math.min(Math.max(share, 0), 1) * (RAMP.length - 1);
  const n = Math.min(Math.floor(at), RAMP.length - 2);
  const mixed = RAMP[n].map((value, c) => Math.round(value + (RAMP[n + 1][c] - value) * (at - n)));
  return `rgb(${mixed.join(", ")})`;
}

/** What a selection holds, by the names of a column: "34 T1, 12 FLAIR", most first; "" where it says nothing. */
export function tally(column, rows) {
  if (!column || column.kind !== "category") {
    return "";
  }
  const counts = new Map();
  for (const row of rows) {
    const name = column.names[column.values[row]] ?? "not known";
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, 6).map(([name, count]) => `${count} ${name}`).join(", ");
}
