import assert from "node:assert/strict";
import { test } from "node:test";

import { apply, planeGrid, PLANE_NAMES } from "../../../apps/viewer/static/geometry.js";
import { areaOf, edges } from "../../../apps/viewer/static/label_brush_layer.js";
import { PaintedMask } from "../../../apps/viewer/static/label_brush_mask.js";

const SHAPE = [14, 11, 9];
const SPACING = [1.1, 1.7, 2.6];
// Patient axes by voxel axes: as they come, flipped, turned about.
const AFFINES = [[[0, 1], [1, 1], [2, 1]], [[0, -1], [1, 1], [2, -1]], [[2, -1], [0, 1], [1, -1]]].map((axes) => [0, 1, 2].map((world) => {
  const row = [0, 0, 0, 5 * world];
  const n = axes.findIndex(([to]) => to === world);
  row[n] = axes[n][1] * SPACING[n];
  return row;
}));

function spread(mask, affine) {
  const found = [];
  mask.data.forEach((value, at) => {
    if (value) {
      const [i, j] = [at % SHAPE[0], Math.floor(at / SHAPE[0]) % SHAPE[1]];
      found.push({ voxel: [i, j, Math.floor(at / SHAPE[0] / SHAPE[1])] });
    }
  });
  found.forEach((one) => { one.mm = apply(affine, one.voxel); });
  return found;
}

test("a disc is every voxel of the slice within the radius, and none else, in all planes and orientations", () => {
  for (const affine of AFFINES) {
    for (const plane of PLANE_NAMES) {
      const grid = planeGrid(affine, SHAPE, plane);
      const mask = new PaintedMask(SHAPE);
      const at = [grid.size[0] / 2 - 0.8, grid.size[1] / 2 - 0.3, 4];
      const mm = apply(grid.toMm, at);
      mask.down(1);
      mask.line(grid, at[2], at.slice(0, 2), at.slice(0, 2), 3.2);
      const found = spread(mask, affine);
      const inSlice = [];
      for (let c = 0; c < grid.size[0]; c += 1) {
        for (let r = 0; r < grid.size[1]; r += 1) {
          const there = apply(grid.toMm, [c, r, at[2]]);
          if (Math.hypot(...there.map((x, n) => x - mm[n])) <= 3.2) {
            inSlice.push(apply(grid.toVoxel, [c, r, at[2]]).join());
          }
        }
      }
      assert.ok(inSlice.length > 5);
      assert.deepEqual(found.map(({ voxel }) => voxel.join()).sort(), inSlice.sort());
      assert.equal(mask.count, inSlice.length);
    }
  }
});

test("a quick stroke leaves no gap, and the smallest brush paints one voxel", () => {
  const grid = planeGrid(AFFINES[0], SHAPE, "axial");
  const mask = new PaintedMask(SHAPE);
  mask.down(1);
  mask.line(grid, 3, [7.4, 5.3], [7.4, 5.3], 0);
  assert.equal(mask.count, 1);
  mask.line(grid, 3, [7.4, 5.3], [1, 5.3], 0);
  assert.equal(mask.count, 7);
});

test("nothing is painted outside the picture", () => {
  const grid = planeGrid(AFFINES[0], SHAPE, "axial");
  const mask = new PaintedMask(SHAPE);
  mask.down(1);
  assert.equal(mask.line(grid, 3, [-40, -40], [-40, -40], 2), null);
  mask.line(grid, 3, [-1, 0], [-1, 0], 3);
  assert.ok(mask.count > 0 && spread(mask, AFFINES[0]).every(({ voxel }) => voxel[2] === 3));
});

test("strokes are taken back one by one, an eraser's too", () => {
  const grid = planeGrid(AFFINES[1], SHAPE, "coronal");
  const mask = new PaintedMask(SHAPE);
  const states = [];
  for (const [value, at] of [[1, [4, 4]], [1, [7, 5]], [0, [5, 4]]]) {
    states.push(mask.data.slice());
    mask.down(value);
    mask.line(grid, 2, at, at, 3);
    mask.line(grid, 2, at, [at[0] + 1, at[1]], 3);
    mask.up();
  }
  const erased = mask.count;
  while (states.length) {
    assert.ok(mask.changed && mask.undo());
    assert.deepEqual(mask.data, states.pop());
    assert.equal(mask.count, mask.data.reduce((sum, x) => sum + x, 0));
  }
  assert.ok(erased > 0 && mask.undo() === null && !mask.changed);
});

test("runs tell the mask, and a mask that comes back is the same", () => {
  const mask = new PaintedMask([3, 2, 2], Uint8Array.from([1, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1]));
  assert.deepEqual([...mask.runs()], [0, 2, 3, 2, 4, 1]);
  assert.equal(mask.count, 5);
  assert.deepEqual(mask.box, [[0, 0, 0], [2, 1, 1]]);
  assert.deepEqual([...new PaintedMask([3, 2, 2]).runs()], [12]);
  const one = new PaintedMask([3, 2, 2], Uint8Array.from([0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]));
  assert.deepEqual(one.box, [[1, 1, 0], [1, 1, 0]]);
  const turn = new PaintedMask([3, 2, 2], Uint8Array.from([0, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]));
  assert.deepEqual(turn.box, [[0, 0, 0], [2, 1, 0]]);
});

test("what is drawn of a slice is what is painted in it, in every plane", () => {
  for (const affine of AFFINES) {
    const mask = new PaintedMask(SHAPE);
    const paint = planeGrid(affine, SHAPE, "axial");
    mask.down(1);
    mask.line(paint, 4, [5, 5], [7, 4], 2.5);
    for (const plane of PLANE_NAMES) {
      const grid = planeGrid(affine, SHAPE, plane);
      for (let s = 0; s < grid.size[2]; s += 1) {
        const area = areaOf(mask, grid, s);
        for (let r = 0; r < grid.size[1]; r += 1) {
          for (let c = 0; c < grid.size[0]; c += 1) {
            const [x, y] = area ? [c - area.at[0], r - area.at[1]] : [-1, -1];
            const drawn = area && x >= 0 && y >= 0 && x < area.size[0] && y < area.size[1]
              ? area.inside[(area.size[0] + 2) * (y + 1) + x + 1] : 0;
            assert.equal(drawn, mask.data[mask.index(apply(grid.toVoxel, [c, r, s]))]);
          }
        }
      }
    }
  }
});

test("the outline runs around the painted pixels", () => {
  const inside = Uint8Array.from([0, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]); // an L of 2 x 2
  const found = edges(inside, [2, 2]).map((line) => line.join()).sort();
  assert.deepEqual(found, ["0,0,0,2", "0,0,2,0", "0,2,1,2", "1,1,1,2", "1,1,2,1", "2,0,2,1"]);
});
