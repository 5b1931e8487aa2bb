/** Which panes there are and where. No DOM. */

import { PLANE_NAMES } from "./geometry.js";

export const LAYOUTS = {
  single: { label: "1 plane", title: "One plane, large" },
  planes: { label: "3 planes", title: "Three planes" },
  quad: { label: "3-D", title: "Three planes and a 3-D picture" },
  side: { label: "Side by side", title: "Series side by side in one space" },
  swipe: { label: "Swipe", title: "Two series with a line to drag between them" },
  difference: { label: "Difference", title: "First series minus the second" },
};

/**
 * Names that make sense: comparing needs two series, planes and 3-D need more than one slice.
 * pairs: by layout which two series it may compare; null for any two.
 */
export function layoutsFor(count, flat, pairs = null) {
  return Object.keys(LAYOUTS).filter((name) => {
    if (pairs && ["swipe", "difference"].includes(name)) {
      return Boolean(pairs[name]?.length);
    }
    const compares = ["side", "swipe", "difference"].includes(name);
    return compares ? count > 1 : name === "single" || !flat;
  });
}

/** The pair itself where a layout may compare it, else the first that it may. */
export function fitting(pairs, pair) {
  return !pairs?.length || pairs.some((one) => same(one, pair)) ? pair : pairs[0];
}

/** The pair after this one; without `pairs` the first series with each other one. */
export function nextPair(pairs, pair, count) {
  if (pairs?.length) {
    return pairs[(pairs.findIndex((one) => same(one, pair)) + 1) % pairs.length];
  }
  return count > 2 ? [0, (pair[1] % (count - 1)) + 1] : pair;
}

function same(one, other) {
  return one[0] === other[0] && one[1] === other[1];
}

/** The layout nearest to the one asked for. */
export function possible(name, count, flat, pairs = null) {
  const names = layoutsFor(count, flat, pairs);
  return names.includes(name) ? name : flat ? (count > 1 ? "side" : "single") : "planes";
}

/**
 * Panes of a layout: { template (CSS grid-template), panes: [{ plane, series, mode }], cell3d }.
 * native: the plane the series was taken in. plane: the active one. shown: the series in single panes. pair: [A, B].
 */
export function arrange(name, { native, plane, shown, count, pair }) {
  const pane = (which, series = shown, mode = "plain") => ({ plane: which, series, mode });
  if (name === "planes") {
    const rest = PLANE_NAMES.filter((other) => other !== native);
    return { template: `"a b" 1fr "a c" 1fr / 1.6fr 1fr`, panes: [native, ...rest].map((p) => pane(p)), cell3d: false };
  }
  if (name === "quad") {
    return { template: `"a b" 1fr "c d" 1fr / 1fr 1fr`, panes: PLANE_NAMES.map((p) => pane(p)), cell3d: true };
  }
  if (name === "side") {
    const all = Array.from({ length: Math.min(count, 4) }, (_, n) => pane(plane, n));
    if (all.length === 4) {
      return { template: `"a b" 1fr "c d" 1fr / 1fr 1fr`, panes: all, cell3d: false };
    }
    return { template: `"${all.map((_, n) => "abc"[n]).join(" ")}" 1fr / ${all.map(() => "1fr").join(" ")}`, panes: all, cell3d: false };
  }
  const compares = name === "swipe" || name === "difference";
  const only = compares ? { ...pane(plane, pair[0], name), other: pair[1] } : pane(plane);
  return { template: `"a" 1fr / 1fr`, panes: [only], cell3d: false };
}
