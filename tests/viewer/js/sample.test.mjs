import assert from "node:assert/strict";
import { test } from "node:test";

import { apply, column, invert, multiply, planeGrid } from "../../../apps/viewer/static/geometry.js";
import { sampleSlice, slabSlices } from "../../../apps/viewer/static/sample.js";
import { near, obliques, orientations, SHAPE, turn, volume } from "./spaces.mjs";

const buffer = (grid) => new Float32Array(grid.size[0] * grid.size[1]);

test("a slab is the brightest, average and darkest of its slices, along every axis", () => {
  for (const { affine } of [orientations()[0], orientations()[45], obliques()[3]]) {
    const scan = volume(affine, SHAPE, (i, j, k) => ((i * 37 + j * 61 + k * 17) % 101) - 50);
    for (const plane of ["axial", "coronal", "sagittal"]) {
      const grid = planeGrid(affine, SHAPE, plane);
      const singles = [1, 2, 3].map((s) => [...sampleSlice(scan, grid, s, buffer(grid))]);
      const wanted = (join) => singles[0].map((_, p) => join(singles.map((one) => one[p])));
      const found = (mode) => [...sampleSlice(scan, grid, 2, buffer(grid), { slab: { mode, thick: 3 } })];
      assert.deepEqual(found("max"), wanted((v) => Math.max(...v)));
      assert.deepEqual(found("min"), wanted((v) => Math.min(...v)));
      near(assert, found("mean"), wanted((v) => (v[0] + v[1] + v[2]) / 3), 1e-4);
    }
  }
});

test("a slab is cut off at the ends of the series", () => {
  assert.deepEqual(slabSlices(0, 5, 10), [0, 1, 2]);
  assert.deepEqual(slabSlices(9, 4, 10), [8, 9]);
  assert.deepEqual(slabSlices(5, 4, 10), [4, 5, 6, 7]);
});

test("between voxels a linear field is met exactly; outside there is nothing", () => {
  const { affine } = orientations()[10];
  const other = multiply(turn(1, 0.4), affine);
  const scan = volume(affine, [30, 30, 30], (i, j, k) => 2 * i - 3 * j + 5 * k + 7);
  const grid = planeGrid(other, [30, 30, 30], "coronal");
  const out = sampleSlice(scan, grid, 14, buffer(grid));
  let inside = 0;
  out.forEach((value, p) => {
    const at = apply(scan.inverse, apply(grid.toMm, [p % grid.size[0], Math.floor(p / grid.size[0]), 14]));
    if (at.every((x) => x >= 0 && x <= 29)) {
      inside += 1;
      assert.ok(Math.abs(value - (2 * at[0] - 3 * at[1] + 5 * at[2] + 7)) < 1e-3);
    } else if (at.some((x) => x < -0.5 || x > 29.5)) {
      assert.ok(Number.isNaN(value));
    }
  });
  assert.ok(inside > 100);
});

test("a mask keeps its values on a turned grid", () => {
  const { affine } = orientations()[0];
  const scan = volume(affine, [20, 20, 20], (i) => (i > 9 ? 3 : 0));
  const grid = planeGrid(multiply(turn(2, 0.3), affine), [20, 20, 20], "axial");
  const values = new Set([...sampleSlice(scan, grid, 10, buffer(grid), { nearest: true })].filter((v) => v === v));
  assert.deepEqual([...values].sort(), [0, 3]);
});

test("a slab of a turned series is that of its interpolated slices", () => {
  const affine = orientations()[0].affine.map((row) => [...row.slice(0, 3), 0]);
  const scan = volume(multiply(turn(0, 0.2), affine), SHAPE, (i, j, k) => i + 10 * j + 100 * k - 999);
  const grid = planeGrid(affine, SHAPE, "axial");
  const singles = [1, 2, 3].map((s) => sampleSlice(scan, grid, s, buffer(grid)));
  let inside = 0;
  for (const [mode, join] of [["max", Math.max], ["min", Math.min], ["mean", (...v) => v.reduce((a, b) => a + b) / v.length]]) {
    const found = sampleSlice(scan, grid, 2, buffer(grid), { slab: { mode, thick: 3 } });
    found.forEach((value, p) => {
      const seen = singles.map((one) => one[p]).filter((v) => v === v);
      inside += seen.length > 0;
      assert.ok(seen.length ? Math.abs(value - join(...seen)) < 1e-3 : Number.isNaN(value));
    });
  }
  assert.ok(inside > 60);
});

test("a smaller series on a larger grid lies in its place, nothing around it", () => {
  const affine = [[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 2, 0]];
  const moved = affine.map((row, n) => [...row.slice(0, 3), apply(affine, [2, 1, 1])[n]]);
  const small = volume(moved, [3, 3, 2]);
  const grid = planeGrid(affine, [8, 8, 4], "axial");
  const out = sampleSlice(small, grid, 1, buffer(grid));
  assert.equal(out[2 + 8 * 1], 0);
  assert.equal(out[4 + 8 * 3], 8);
  assert.equal([...out].filter((v) => v === v).length, 9);
});

test("a grid that drifts by half a voxel over the picture is not taken for the volume's own", () => {
  const affine = [[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0]];
  const wider = [[-1.001, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0]];
  const scan = volume(affine, [500, 2, 2], (i) => i);
  const grid = planeGrid(wider, [500, 2, 2], "axial");
  const out = sampleSlice(scan, grid, 0, buffer(grid));
  assert.ok(Math.abs(out[400] - 400.4) < 1e-3);
  near(assert, column(multiply(invert(affine), affine), 0), [1, 0, 0]);
});
