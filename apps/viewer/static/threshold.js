/** The slider of the voxel threshold, and what each threshold promises. */

import { follow, mapOf, panel, thresholdOf } from "./anomaly.js";
import { el, say } from "./dom.js";
import { positionOf, rateWords, scoreAt, scoreText, sliderRange } from "./rate.js";

const STEPS = 1000;
const ROOM = 2; // the last colour stands for at least so many times the threshold

/**
 * extra.threshold: { points: [{ threshold, rate, low, high, n }] rising, own: the run's threshold or null, text: where
 * the rates come from, top: the score of the last colour or null }. While the slider moves only the picture changes; let go, the page hears "threshold".
 */
export function attach(viewer, extra) {
  let part = null;
  follow(viewer, extra, (now) => {
    if (now.threshold && !part) {
      part = build(viewer);
    }
    part?.show(now.threshold ?? null);
  });
}

function build(viewer) {
  let told = null;
  const value = el("strong", {});
  const own = el("button", { type: "button", class: "own", title: "Back to the threshold that the run was calibrated with" });
  const input = el("input", { type: "range", min: 0, max: STEPS, "aria-label": "Threshold of the map" });
  const promise = el("p", { class: "promise", "aria-live": "polite" });
  const origin = el("p", { class: "quiet" });
  const title = el("h2", {}, el("span", {}, "Unusual above"), value, own);
  const section = panel(viewer, 1, title, input, promise, origin);
  viewer.root.classList.add("calibrated"); // the overlay's own threshold slider would be a second one

  const range = () => sliderRange(told.points, told.own, mapOf(viewer)?.overlay.volume.meta?.extent[1] ?? 1);
  const set = (score) => {
    const found = mapOf(viewer);
    if (found) {
      // The colours keep some room above the threshold, else all that is left would have the last one.
      const { top } = told;
      viewer.setOverlay(found.n, { threshold: score, top: top === null ? null : Math.max(top, score * ROOM) });
    }
  };
  const commit = () => viewer.commit("threshold", thresholdOf(viewer));
  input.addEventListener("input", () => set(snapped(scoreAt(range(), Number(input.value) / STEPS), told, range())));
  input.addEventListener("change", () => {
    commit();
    input.blur();
  });
  own.addEventListener("click", () => {
    set(told.own);
    commit();
  });

  const refresh = () => {
    const score = thresholdOf(viewer);
    section.hidden = !told || score === null;
    if (section.hidden) {
      return;
    }
    say(value, scoreText(score));
    say(promise, rateWords(told.points, score));
    say(origin, told.text);
    own.hidden = told.own === null || Math.abs(score - told.own) < 1e-6 * told.own;
    say(own, told.own === null ? "" : `back to ${scoreText(told.own)}`);
    const position = String(Math.round(positionOf(range(), score) * STEPS));
    if (input.value !== position && !input.matches(":active")) {
      input.value = position;
    }
  };
  viewer.on("overlay", refresh);
  viewer.on("loaded", refresh);
  return {
    show(threshold) {
      told = threshold;
      refresh();
    },
  };
}

/** The run's own threshold where the slider stands on its step: there the rate is exactly the measured one. */
function snapped(score, told, range) {
  const near = told.own !== null && Math.abs(positionOf(range, score) - positionOf(range, told.own)) * STEPS < 3;
  return near ? told.own : score;
}
