import assert from "node:assert/strict";
import { test } from "node:test";

import * as g from "../../../apps/viewer/static/geometry.js";
import { sampleSlice } from "../../../apps/viewer/static/sample.js";
import { near, obliques, orientations, SHAPE, turn, volume } from "./spaces.mjs";

const MARKED = [5, 1, 3];

for (const { name, affine } of [...orientations(), ...obliques()]) {
  test(`a marker voxel is drawn where its place in mm says: ${name}`, () => {
    const scan = volume(affine, SHAPE, (i, j, k) => (i === MARKED[0] && j === MARKED[1] && k === MARKED[2] ? 1000 : i));
    const mm = g.apply(affine, MARKED);
    for (const plane of g.PLANE_NAMES) {
      const grid = g.planeGrid(affine, SHAPE, plane);
      const [c, r, s] = g.apply(grid.toPicture, mm);
      near(assert, [c, r, s], [c, r, s].map(Math.round));
      const out = new Float32Array(grid.size[0] * grid.size[1]);
      sampleSlice(scan, grid, Math.round(s), out);
      const drawn = out.indexOf(1000);
      assert.deepEqual([drawn % grid.size[0], Math.floor(drawn / grid.size[0])], [Math.round(c), Math.round(r)]);
      near(assert, g.apply(grid.toVoxel, [c, r, s]), MARKED);
      near(assert, g.apply(g.invert(affine), g.apply(grid.toMm, [c, r, s])), MARKED);
    }
  });
}

for (const { name, affine } of orientations()) {
  test(`the patient's right is on the left, the head above: ${name}`, () => {
    const seen = (plane, neurological) => g.edgeLetters(g.planeGrid(affine, SHAPE, plane, neurological));
    assert.deepEqual(seen("axial"), { left: "R", right: "L", top: "A", bottom: "P" });
    assert.deepEqual(seen("coronal"), { left: "R", right: "L", top: "S", bottom: "I" });
    assert.deepEqual(seen("sagittal"), { left: "A", right: "P", top: "S", bottom: "I" });
    assert.deepEqual(seen("axial", true), { left: "L", right: "R", top: "A", bottom: "P" });
    assert.deepEqual(seen("coronal", true), { left: "L", right: "R", top: "S", bottom: "I" });
    assert.deepEqual(seen("sagittal", true), seen("sagittal"));
  });
}

test("letters of a tilted plane name both directions, the larger first", () => {
  assert.equal(g.letters([-1, 0, 0]), "L");
  assert.equal(g.letters([-0.8, 0.6, 0]), "LA");
  assert.equal(g.letters([0.6, -0.8, 0]), "PR");
  assert.equal(g.letters([0, 0.2, 0.97]), "S"); // 12 degrees are not told
});

test("towards says which way the slices count", () => {
  for (const { affine } of orientations()) {
    for (const plane of g.PLANE_NAMES) {
      const grid = g.planeGrid(affine, SHAPE, plane);
      const step = g.column(grid.toMm, 2)[g.PLANES[plane].axis];
      assert.equal(Math.sign(step), grid.towards);
    }
  }
});

test("the native plane lies across the thickest voxels, or across a single slice", () => {
  for (const { affine } of orientations()) {
    const axes = g.nearestAxes(affine);
    const thick = ["sagittal", "coronal", "axial"][axes.indexOf(2)];
    assert.equal(g.nativePlane(affine, SHAPE), thick);
  }
  const even = [[-1.2, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0]];
  assert.equal(g.nativePlane(even, [9, 9, 9]), "axial");
  assert.equal(g.nativePlane(even, [9, 1, 9]), "coronal");
});

test("grids are parallel up to 2.5 degrees", () => {
  const { affine } = orientations()[0];
  const grid = (degrees) => g.planeGrid(g.multiply(turn(0, (degrees * Math.PI) / 180), affine), SHAPE, "axial");
  assert.ok(g.parallel(grid(0), grid(2)));
  assert.ok(!g.parallel(grid(0), grid(3)));
});

test("a flat affine is told in words", () => {
  assert.throws(() => g.invert([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]]), /no size/);
});

test("LPS turns the first two axes round", () => {
  assert.deepEqual(g.lps([1, -2, 3]), [-1, 2, 3]);
});
