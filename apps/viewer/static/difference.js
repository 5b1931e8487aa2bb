/** A minus B on A's grid. No DOM. */

/** A sentence where two series cannot be subtracted, else "". */
export function refusesDifference(a, b) {
  if (!a || !b) {
    return "Open two series to see their difference.";
  }
  if (!a.meta || !b.meta) {
    return "Both series are still loading.";
  }
  if (a.meta.unit !== b.meta.unit) {
    const words = { HU: "HU", arbitrary: "arbitrary units", score: "a score", mask: "a mask" };
    return `These series have different units (${words[a.meta.unit]} and ${words[b.meta.unit]}): their difference means nothing.`;
  }
  return "";
}

/** How values are made comparable: HU as they are; else each scaled by its own 1-99 %, unless they share a scale. */
export function scalesOf(a, b, shared) {
  if (a.meta.unit === "HU" || shared) {
    const span = Math.max(a.meta.range[1] - a.meta.range[0], 1e-9);
    const top = a.meta.unit === "HU" ? 200 : span / 2;
    return { a: [0, 1], b: [0, 1], top, words: a.meta.unit === "HU" ? "HU" : "in the scan's own units" };
  }
  const own = ({ meta: { range } }) => [range[0], Math.max(range[1] - range[0], 1e-9)];
  return { a: own(a), b: own(b), top: 0.5, words: "each series scaled by its own 1-99 %" };
}

/** (a - lowA) / spanA - (b - lowB) / spanB, element by element; NaN where either is missing. */
export function subtract(a, b, scales, out) {
  const [lowA, spanA] = scales.a;
  const [lowB, spanB] = scales.b;
  for (let p = 0; p < out.length; p += 1) {
    out[p] = (a[p] - lowA) / spanA - (b[p] - lowB) / spanB;
  }
  return out;
}
