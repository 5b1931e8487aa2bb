/** What a threshold promises, in words, from rates measured at a row of thresholds. No DOM. */

const NEAR = 1e-5; // relative: a slider's value is never quite the number in a file

/** A rate or a bound: "18", "1.2", "0.08". */
export function rateText(value) {
  if (value >= 10) {
    return value.toFixed(0);
  }
  return value >= 0.1 || value === 0 ? value.toFixed(1) : value.toFixed(2);
}

/** A score or threshold with three figures that count and no leading zero: ".0784", "1.20". */
export function scoreText(value) {
  const text = Math.abs(value) >= 1 || value === 0 ? value.toFixed(2) : value.toPrecision(3);
  return text.replace(/^(-?)0\./, "$1.");
}

/**
 * What is known about false alarms at `threshold`.
 *
 * points: [{ threshold, rate, low, high, n }] rising; rate: unusual areas per healthy scan; low, high: 95 % interval,
 * absent where it cannot be had. Returns { rate, low, high, n, kind }, kind one of "measured", "between", "below",
 * "beyond" (rate is then a bound), "elsewhere" (one point only, and not this threshold), "unknown".
 *
 * Between two thresholds the rate is interpolated, and the interval runs from the low end of the stricter one to the
 * high end of the laxer one: wider than either, never narrower.
 */
export function rateAt(points, threshold) {
  if (!points.length) {
    return { kind: "unknown" };
  }
  const same = points.find((point) => Math.abs(point.threshold - threshold) <= NEAR * Math.abs(point.threshold));
  if (same) {
    return { ...same, kind: "measured" };
  }
  const [first, last] = [points[0], points[points.length - 1]];
  if (points.length === 1) {
    return { ...first, kind: "elsewhere" };
  }
  if (threshold < first.threshold) {
    return { ...first, kind: "below" };
  }
  if (threshold > last.threshold) {
    return { ...last, kind: "beyond" };
  }
  const n = points.findIndex((point) => point.threshold > threshold);
  const [lax, strict] = [points[n - 1], points[n]];
  const share = (threshold - lax.threshold) / (strict.threshold - lax.threshold);
  return { rate: lax.rate + (strict.rate - lax.rate) * share, low: strict.low, high: lax.high, n: lax.n, kind: "between" };
}

/** The sentence under the slider. */
export function rateWords(points, threshold) {
  const { kind, rate, low, high, n } = rateAt(points, threshold);
  const known = low !== undefined && high !== undefined;
  const interval = known ? `, 95 % CI ${rateText(low)}-${rateText(high)}` : ", no interval: too few patients";
  if (kind === "unknown") {
    return "How many false alarms to expect is not known: no healthy scan was held out.";
  }
  if (kind === "elsewhere") {
    return `No rate is known here: it was measured at ${scoreText(points[0].threshold)} only (about ${rateText(rate)} per healthy scan).`;
  }
  if (kind === "below") {
    return `More than ${rateText(rate)} false alarms per healthy scan (n = ${n}): below the lowest threshold that was measured.`;
  }
  const none = rate === 0 || kind === "beyond";
  if (none) {
    const bound = known ? `fewer than ${rateText(high)}` : "an unknown number of";
    const seen = rate === 0 ? `none was seen, n = ${n}, 95 % CI` : `n = ${n}, 95 % CI of the last one measured`;
    return `${capital(bound)} false alarms per healthy scan (${seen}).`;
  }
  const how = kind === "between" ? ", between two measured thresholds" : "";
  return `About ${rateText(rate)} false alarms per healthy scan (n = ${n}${interval}${how}).`;
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}

/** Where the slider runs, in scores: from the lowest measured threshold, or half the run's own, to the map's top. */
export function sliderRange(points, own, top) {
  const start = points.length > 1 ? points[0].threshold : (own ?? top / 4) / 2;
  const low = Math.max(start, top * 1e-4, 1e-9);
  const last = points.length ? points[points.length - 1].threshold : low;
  return { low, high: Math.max(top, last * 1.02, low * 1.5) };
}

/** Score at a position 0 .. 1 of the slider, and back: even steps are even ratios, since maps have long tails. */
export function scoreAt({ low, high }, position) {
  return low * (high / low) ** position;
}

export function positionOf({ low, high }, score) {
  return Math.min(1, Math.max(0, Math.log(Math.max(score, low) / low) / Math.log(high / low)));
}
