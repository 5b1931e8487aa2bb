import assert from "node:assert/strict";
import { test } from "node:test";

import { countsAbove, nextStop, peaks, profileOf, voxelOf } from "../../../apps/viewer/static/profile.js";

const SHAPE = [4, 3, 5];

function map(spots) {
  const data = new Float32Array(60);
  for (const [i, j, k, value] of spots) {
    data[i + 4 * (j + 3 * k)] = value;
  }
  return data;
}

test("the highest voxel of each slice is found along each axis", () => {
  const data = map([[1, 2, 3, 0.9], [3, 0, 1, 0.5]]);
  for (const [axis, slice] of [[0, 1], [1, 2], [2, 3]]) {
    const found = profileOf(data, SHAPE, axis, 0.1);
    assert.equal(found.top.length, SHAPE[axis]);
    assert.equal(found.top[slice], Math.fround(0.9));
    assert.deepEqual(voxelOf(found.at[slice], SHAPE), [1, 2, 3]);
  }
});

test("voxels above a threshold are counted slice by slice, above means above", () => {
  const data = map([[0, 0, 2, 0.3], [1, 0, 2, 0.5], [1, 1, 4, 0.7]]);
  const found = profileOf(data, SHAPE, 2, 0.1);
  assert.deepEqual([...countsAbove(found, 0.2)], [0, 0, 2, 0, 1]);
  assert.deepEqual([...countsAbove(found, 0.3)], [0, 0, 1, 0, 1]);
  assert.deepEqual([...countsAbove(found, 0.7)], [0, 0, 0, 0, 0]);
});

test("peaks along the slices: ends count, plateaus once, what is low not at all", () => {
  assert.deepEqual(peaks(Float32Array.from([5, 1, 1, 4, 4, 4, 2, 3]), 0.5), [0, 4, 7]);
  assert.deepEqual(peaks(Float32Array.from([1, 2, 1]), 2), []);
  assert.deepEqual(peaks(Float32Array.from([3, 3, 3]), 1), [1]);
});

test("next and previous go through all stops, several on one slice too, and round the end", () => {
  const stops = [
    { slice: 9, mm: [0, 0, 9], id: "c" }, { slice: 2, mm: [5, 0, 2], id: "a" }, { slice: 2, mm: [9, 0, 2], id: "b" },
  ];
  let here = { slice: 0, mm: [0, 0, 0] };
  const seen = [];
  for (let n = 0; n < 4; n += 1) {
    here = nextStop(stops, here, 1);
    seen.push(here.id);
  }
  assert.deepEqual(seen, ["a", "b", "c", "a"]);
  assert.equal(nextStop(stops, { slice: 0, mm: [0, 0, 0] }, -1).id, "c");
  assert.equal(nextStop(stops, stops[0], -1).id, "b");
  assert.equal(nextStop(stops, { slice: 5, mm: [1, 1, 5] }, -1).id, "b");
  assert.equal(nextStop([], here, 1), null);
});
