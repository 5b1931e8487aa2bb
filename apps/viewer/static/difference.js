/** A minus B on A's grid. No DOM. */

const AS_IT_IS = null;

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

/**
 * How values are made comparable: HU as they are, and so two series that share a scale; else each by its own 1-99 %.
 * a, b: [start, span] or null for values as they are; top: the difference that has the last colour.
 */
export function scalesOf(a, b, shared) {
  if (a.meta.unit === "HU" || shared) {
    const span = Math.max(a.meta.range[1] - a.meta.range[0], 1e-9);
    const top = a.meta.unit === "HU" ? 200 : span / 2;
    return { a: AS_IT_IS, b: AS_IT_IS, top, words: a.meta.unit === "HU" ? "HU" : "in the scan's own units" };
  }
  const own = ({ meta: { range } }) => [range[0], Math.max(range[1] - range[0], 1e-9)];
  return { a: own(a), b: own(b), top: 0.5, words: "each series scaled by its own 1-99 %" };
}

/**
 * scaled a - scaled b, element by element; NaN where either is missing. What is darker than a scale's start counts as
 * its start: the noise of air would else differ by where each series' own scale begins.
 */
export function subtract(a, b, scales, out) {
  for (let p = 0; p < out.length; p += 1) {
    out[p] = scaled(a[p], scales.a) - scaled(b[p], scales.b);
  }
  return out;
}

function scaled(value, scale) {
  return scale === null ? value : Math.max(value - scale[0], 0) / scale[1];
}
