/** Which values are black and which white. No DOM. A window is { lo, hi }: black at and below lo, white at and above hi. */

/** CT presets: width and level in HU, and the key that sets each. */
export const PRESETS = [
  { key: "1", name: "soft tissue", width: 400, level: 40 },
  { key: "2", name: "lung", width: 1500, level: -600 },
  { key: "3", name: "liver", width: 150, level: 90 },
  { key: "4", name: "bone", width: 2500, level: 480 },
  { key: "5", name: "brain", width: 80, level: 40 },
];

/** Percentile windows of series without HU, on the same keys: 1-99 % is the one they open with. */
export const SHARES = [
  { key: "1", name: "1-99 %", from: 0, to: 1 },
  { key: "2", name: "darker half", from: 0, to: 0.5 },
  { key: "3", name: "brighter half", from: 0.5, to: 1 },
];

export function fromLevel(width, level) {
  return { lo: level - width / 2, hi: level + width / 2 };
}

/** The presets of a series: [{ key, name, lo, hi }], the last on key 0 from its lowest to its highest value. */
export function presetsOf({ unit, range, extent }) {
  const span = range[1] - range[0];
  const steps = unit === "HU"
    ? PRESETS.map(({ key, name, width, level }) => ({ key, name, ...fromLevel(width, level) }))
    : SHARES.map(({ key, name, from, to }) => ({ key, name, ...widened(range[0] + from * span, range[0] + to * span) }));
  return [...steps, { key: "0", name: "full range", ...widened(extent[0], extent[1]) }];
}

/**
 * The window a series opens with: soft tissue for HU (1-99 % where that shows one grey only, as in a lung or a phantom
 * of air), 0 to 1 for a mask, else 1-99 % of what is not background.
 */
export function firstWindow(meta) {
  if (meta.unit === "mask") {
    return widened(0, Math.max(1, meta.extent[1]));
  }
  const { lo, hi } = presetsOf(meta)[0];
  const blank = meta.range[1] <= lo || meta.range[0] >= hi;
  return blank ? widened(...meta.range) : { lo, hi };
}

function widened(lo, hi) {
  return hi > lo ? { lo, hi } : { lo, hi: lo + 1 };
}

/** After dragging dx pixels to the right (wider) and dy down (darker: the level rises); `scale` values a pixel. */
export function dragged({ lo, hi }, dx, dy, scale) {
  const width = Math.max(hi - lo + dx * scale, scale);
  return fromLevel(width, (lo + hi) / 2 + dy * scale);
}

/** Values a pixel of dragging: 400 pixels run through the usual values of the series. */
export function dragScale({ unit, range }) {
  return unit === "HU" ? 2 : Math.max((range[1] - range[0]) / 400, 1e-9);
}

/** "W 400 L 40 (soft tissue)". */
export function windowWords({ lo, hi }, meta) {
  const near = (a, b) => Math.abs(a - b) <= (hi - lo) * 1e-6;
  const known = presetsOf(meta).find((preset) => near(preset.lo, lo) && near(preset.hi, hi));
  return `W ${short(hi - lo)} L ${short((lo + hi) / 2)}${known ? ` (${known.name})` : ""}`;
}

/** A value with about three figures that count; whole from 100 on. */
export function short(value) {
  if (!Number.isFinite(value)) {
    return "-";
  }
  const size = Math.abs(value);
  if (size >= 100 || Number.isInteger(value)) {
    return String(Math.round(value));
  }
  return String(Number(value.toPrecision(3)));
}

/**
 * Series that are windowed together share a name: all in HU, and an expected normal, or a scan translated there and
 * back, with the scan it belongs to.
 * series: [{ role, meta }]. Returns one name for each.
 */
export function windowGroups(series) {
  return series.map(({ role, meta }, n) => {
    if (meta && meta.unit === "HU") {
      return "HU";
    }
    return role === "expected" || role === "back" ? "0" : String(n);
  });
}
