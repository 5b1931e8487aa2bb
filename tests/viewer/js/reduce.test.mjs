import assert from "node:assert/strict";
import { test } from "node:test";

import { apply } from "../../../apps/viewer/static/geometry.js";
import { factorsOf, nifti, reduce, reduceGently } from "../../../apps/viewer/static/reduce.js";

const AFFINE = [[-0.7, 0, 0.1, 90], [0, -0.7, 0, 80], [0, 0.05, 3, -40]];

function ramp(shape) {
  const data = new Float32Array(shape[0] * shape[1] * shape[2]);
  return { data: data.map((_, n) => n), shape, affine: AFFINE };
}

test("no axis is longer than the limit, and what is small stays as it is", () => {
  assert.deepEqual(factorsOf([512, 512, 300], 128), [4, 4, 3]);
  const small = ramp([5, 4, 3]);
  const same = reduce(small, 128, "mean");
  assert.deepEqual([...same.data], [...small.data]);
  assert.deepEqual(same.affine, AFFINE);
});

test("blocks have their mean or highest value, cut ones of what they have", () => {
  const volume = ramp([5, 2, 2]); // limit 3: two along X become one, the fifth stands alone
  const mean = reduce(volume, 3, "mean");
  assert.deepEqual(mean.shape, [3, 2, 2]);
  assert.deepEqual([...mean.data.slice(0, 3)], [0.5, 2.5, 4]);
  assert.deepEqual([...reduce(volume, 3, "max").data.slice(0, 3)], [1, 3, 4]);
});

test("a mean over all axes keeps the volume's own", () => {
  const mean = reduce(ramp([8, 8, 8]), 4, "mean");
  const average = mean.data.reduce((a, b) => a + b) / mean.data.length;
  assert.ok(Math.abs(average - 511 / 2) < 1e-3);
});

test("a block's centre lies where its voxels' centres lie", () => {
  const { affine } = reduce(ramp([8, 8, 6]), 4, "mean");
  const wanted = apply(AFFINE, [2.5, 4.5, 1 - 0.5]); // blocks of 2: block [1, 2, 0] covers voxels 2-3, 4-5, 0-1
  apply(affine, [1, 2, 0]).forEach((mm, n) => assert.ok(Math.abs(mm - wanted[n]) < 1e-9));
});

test("a single hot voxel survives the highest value", () => {
  const volume = { data: new Float32Array(64), shape: [4, 4, 4], affine: AFFINE };
  volume.data[21] = 0.9;
  assert.ok(reduce(volume, 1, "max").data[0] > 0.89);
  assert.ok(reduce(volume, 1, "mean").data[0] < 0.02);
});

test("nobody waits: nothing is made", async () => {
  const slow = ramp([40, 40, 40]);
  const same = await reduceGently(slow, 8, "mean", () => false);
  assert.deepEqual([...same.data], [...reduce(slow, 8, "mean").data]);
});

test("the file says where its voxels lie", () => {
  const made = reduce(ramp([4, 3, 2]), 128, "mean");
  const view = new DataView(nifti(made));
  assert.equal(view.getInt32(0, true), 348);
  assert.deepEqual([0, 1, 2, 3].map((n) => view.getInt16(40 + 2 * n, true)), [3, 4, 3, 2]);
  assert.equal(view.getInt16(254, true), 1);
  const row = [0, 1, 2, 3].map((n) => view.getFloat32(280 + 4 * n, true));
  row.forEach((value, n) => assert.ok(Math.abs(value - AFFINE[0][n]) < 1e-5));
  assert.equal(view.getFloat32(352 + 4 * 7, true), 7);
  assert.equal(view.byteLength, 352 + 4 * 24);
});
