import assert from "node:assert/strict";
import { test } from "node:test";

import { barLength, footWords } from "../../../apps/viewer/static/exports.js";
import { heading, volumeText } from "../../../apps/viewer/static/findings.js";

test("volumes are told as finely as they are known", () => {
  assert.deepEqual([0.004, 0.26, 1.23, 36.4].map(volumeText), ["< 0.01 ml", "0.26 ml", "1.2 ml", "36 ml"]);
});

test("the list says when it is of another threshold than the slider's", () => {
  assert.equal(heading(1, 0.1, 0.1), "1 unusual area");
  assert.equal(heading(7, 0.1, null), "7 unusual areas");
  assert.equal(heading(0, 0.1, 0.1), "No unusual area");
  assert.match(heading(7, 0.1, 0.12), /Let go of the slider/);
});

test("a saved picture says whom it shows, from where on, and what it is not for", () => {
  assert.equal(footWords("073", 0.0784), "073  ·  unusual above .0784  ·  Research only, not for diagnosis");
  assert.equal(footWords("", null), "Research only, not for diagnosis");
});

test("the scale bar is a round length that fits", () => {
  for (const scale of [0.3, 1, 1.7, 4, 37]) {
    const mm = barLength(scale, 90);
    assert.ok(mm * scale <= 90 && mm * scale > 90 / 2.6, `${mm} mm at ${scale}`);
    assert.ok([1, 2, 5].some((n) => Math.abs(Math.log10(mm / n) % 1) < 1e-9), `${mm} is round`);
  }
});
