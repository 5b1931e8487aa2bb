import assert from "node:assert/strict";
import { test } from "node:test";

import { block, nearest, scales } from "../../../apps/viewer/static/samples_course.js";
import { RISKS, chosen, difference } from "../../../apps/viewer/static/samples_risk.js";

const SAMPLES = [
  { risk: "own", likeness: 0.9 }, { risk: "copy", likeness: 0.95 }, { risk: "close", likeness: null },
  { risk: "copy", likeness: 0.99 }, { risk: "", likeness: null },
];

test("the riskiest come first, of them the most alike; what was not looked at comes last", () => {
  assert.deepEqual(chosen(SAMPLES, "all", "risk"), [3, 1, 2, 0, 4]);
  assert.deepEqual(chosen(SAMPLES, "all", "made"), [0, 1, 2, 3, 4]);
  assert.deepEqual(chosen(SAMPLES, "copy", "risk"), [3, 1]);
  assert.deepEqual(chosen(SAMPLES, "own", "made"), [0]);
});

test("a column of samples becomes a block, anything else stays as it is", () => {
  assert.deepEqual(block(48, 192, [48, 48]), { columns: 2, rows: 2, from: [0, 48, 96, 144] });
  assert.deepEqual(block(10, 100, [20, 10]), { columns: 3, rows: 2, from: [0, 20, 40, 60, 80] });
  for (const [w, h, cell] of [[96, 192, [48, 48]], [48, 200, [48, 48]], [48, 48, [48, 48]], [48, 192, null]]) {
    assert.equal(block(w, h, cell), null);
  }
});

test("each light differs from the others in symbol, word and colour", () => {
  for (const part of ["symbol", "word", "colour"]) {
    assert.equal(new Set(Object.values(RISKS).map((risk) => risk[part])).size, 4);
  }
});

test("a difference is dark where equal, orange where brighter, blue where darker", () => {
  const [same, more, less] = [...difference(Uint8Array.of(7, 200, 0), Uint8Array.of(7, 0, 200))].map((word) => [word & 255, (word >> 8) & 255, (word >> 16) & 255]);
  assert.deepEqual(same, [18, 18, 18]);
  assert.ok(more[0] > 200 && more[2] < 100);
  assert.ok(less[2] > 200 && less[0] < 100);
});

test("a curve lies inside its frame, lower values lower, and its place leads back to a step", () => {
  const curve = { steps: [100, 200, 400], values: [1, null, 0.01] };
  const place = scales(curve, 50, 400);
  assert.ok(place.y(1) < place.y(0.1) && place.y(0.1) < place.y(0.01));
  assert.ok(Math.abs(place.y(0.1) - (place.y(1) + place.y(0.01)) / 2) < 1e-9, "logarithmic above 0");
  assert.ok(Math.abs(place.step(place.x(200)) - 200) < 1e-9);
  const below = scales({ steps: [1, 2, 3], values: [-1, 0, 1] }, 1, 3);
  assert.ok(Math.abs(below.y(0) - (below.y(1) + below.y(-1)) / 2) < 1e-9, "linear where a value is below 0");
  assert.equal(nearest([100, 200, 400], 290), 1);
});
