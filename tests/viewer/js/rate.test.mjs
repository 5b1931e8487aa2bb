import assert from "node:assert/strict";
import { test } from "node:test";

import { positionOf, rateAt, rateText, rateWords, scoreAt, scoreText, sliderRange } from "../../../apps/viewer/static/rate.js";

const POINTS = [
  { threshold: 0.05, rate: 10.2, low: 8, high: 12.4, n: 40 },
  { threshold: 0.1, rate: 1.2, low: 0.8, high: 1.7, n: 40 },
  { threshold: 0.2, rate: 0, low: 0, high: 0.092, n: 40 },
];

test("a measured threshold is told with its interval", () => {
  assert.equal(rateWords(POINTS, 0.1), "About 1.2 false alarms per healthy scan (n = 40, 95 % CI 0.8-1.7).");
  assert.equal(rateWords(POINTS, 0.1000004), rateWords(POINTS, 0.1), "a slider's rounding changes nothing");
});

test("between two thresholds the interval is no narrower than either, and the words say so", () => {
  const found = rateAt(POINTS, 0.075);
  assert.equal(found.kind, "between");
  assert.ok(Math.abs(found.rate - 5.7) < 1e-9);
  assert.deepEqual([found.low, found.high], [0.8, 12.4]);
  assert.match(rateWords(POINTS, 0.075), /^About 5\.7 .*CI 0\.8-12, between two measured thresholds\)\.$/);
});

test("beyond what was measured there are only bounds", () => {
  assert.equal(rateWords(POINTS, 0.2), "Fewer than 0.09 false alarms per healthy scan (none was seen, n = 40, 95 % CI).");
  assert.equal(rateWords(POINTS, 0.9), rateWords(POINTS, 0.2));
  assert.equal(rateWords(POINTS, 0.01), "More than 10 false alarms per healthy scan (n = 40): below the lowest threshold that was measured.");
  const cut = POINTS.slice(0, 2);
  assert.match(rateWords(cut, 0.5), /^Fewer than 1\.7 .*of the last one measured/);
});

test("an older run promises nothing away from its one threshold", () => {
  const one = [POINTS[1]];
  assert.match(rateWords(one, 0.1), /^About 1\.2/);
  assert.match(rateWords(one, 0.15), /^No rate is known here: it was measured at \.100 only/);
  assert.match(rateWords([], 0.15), /not known/);
});

test("too few patients: a rate without an interval", () => {
  assert.match(rateWords([{ threshold: 0.1, rate: 3, n: 1 }], 0.1), /n = 1, no interval: too few patients/);
});

test("the slider reaches from the laxest threshold to the top of the map, and comes back to where it was", () => {
  const range = sliderRange(POINTS, 0.1, 0.7);
  assert.deepEqual(range, { low: 0.05, high: 0.7 });
  for (const score of [0.05, 0.0784, 0.1, 0.33, 0.7]) {
    assert.ok(Math.abs(scoreAt(range, positionOf(range, score)) - score) < 1e-9);
  }
  assert.equal(positionOf(range, 0.001), 0);
  assert.equal(positionOf(range, 5), 1);
  const quiet = sliderRange(POINTS, 0.1, 0.01);
  assert.ok(quiet.high > 0.2, "a map lower than the thresholds still has the run's own on its slider");
  const bare = sliderRange([], null, 0.4);
  assert.ok(bare.low > 0 && bare.high === 0.4);
});

test("figures", () => {
  assert.deepEqual([18.33, 1.24, 0.083, 0].map(rateText), ["18", "1.2", "0.08", "0.0"]);
  assert.deepEqual([0.0783691, 0.33, 1.5, 0].map(scoreText), [".0784", ".330", "1.50", ".00"]);
});
