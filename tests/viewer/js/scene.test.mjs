import assert from "node:assert/strict";
import { test } from "node:test";

import { apply, multiply } from "../../../apps/viewer/static/geometry.js";
import { Scene } from "../../../apps/viewer/static/scene.js";
import { near, orientations, SHAPE, turn, volume } from "./spaces.mjs";

class Bench extends Scene {
  invalidate() {}

  emit() {}
}

function scene(...volumes) {
  const made = new Bench();
  made.volumes = volumes.map((one, n) => {
    Object.assign(one.meta, { range: [0, 100], extent: [0, 200] });
    return { ...one, id: `s${n}`, about: { role: "scan", placed: true }, voxelToWorld: (ijk) => apply(one.meta.affine, ijk) };
  });
  return made;
}

test("one step goes to the next voxel, towards the head, and stops at the ends", () => {
  for (const { affine } of orientations()) {
    const made = scene(volume(affine));
    made.startAt();
    for (const [plane, axis] of [["axial", 2], ["coronal", 1], ["sagittal", 0]]) {
      const before = [...made.crosshair];
      made.step(plane, 1);
      const moved = made.crosshair.map((x, n) => x - before[n]);
      assert.ok(moved[axis] > 0);
      assert.equal(moved.filter((x) => Math.abs(x) > 1e-9).length, 1);
      made.step(plane, 99);
      const last = made.sliceOf(plane);
      made.step(plane, 1);
      assert.equal(made.sliceOf(plane), last);
      made.end(plane, true);
      assert.equal(made.sliceOf(plane), last);
    }
  }
});

test("a link's slice is the voxel's number from 1 in the series' own plane", () => {
  const made = scene(volume(orientations()[20].affine));
  made.startAt(4);
  assert.equal(made.sliceOf(made.native), 3);
  made.startAt(99); // no such slice: the middle
  assert.equal(made.sliceOf(made.native), 2);
});

test("a parallel series keeps its own pixels, a turned one is laid on the first's plane", () => {
  const { affine } = orientations()[0];
  const shifted = affine.map((row, n) => [...row.slice(0, 3), row[3] + [2, 1, 0.5][n]]);
  const made = scene(volume(affine), volume(shifted), volume(multiply(turn(0, 0.3), affine)));
  assert.deepEqual([0, 1, 2].map((n) => made.resampled(n, "axial")), [false, false, true]);
  assert.equal(made.gridOf(2, "axial"), made.gridOf(0, "axial"));
  near(assert, made.gridOf(1, "axial").toMm.map((row) => row[3]), made.gridOf(0, "axial").toMm.map((row, n) => row[3] + [2, 1, 0.5][n]));
});

test("a group's window is that of its first series, whichever arrives first, until a reader changes it", () => {
  const { affine } = orientations()[0];
  const made = scene(volume(affine), volume(affine));
  made.volumes[1].about = { role: "expected", placed: true };
  made.volumes[1].meta.range = [0, 70];
  const late = made.volumes[0].meta;
  made.volumes[0].meta = null;
  assert.equal(made.windowOf(1).hi, 70);
  made.volumes[0].meta = late;
  assert.equal(made.windowOf(1).hi, 100);
  assert.equal(made.windowOf(0).hi, 100);
  made.setWindow(0, { lo: 5, hi: 6 });
  assert.equal(made.windowOf(1).hi, 6);
});

test("a slab is told in mm, as thick as whole slices make it", () => {
  const made = scene(volume([[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 3, 0]], [9, 9, 9]));
  const grid = made.gridOf(0, "axial");
  assert.equal(made.slabFor(grid), null);
  made.cycleSlab();
  assert.deepEqual(made.slabFor(grid), { mode: "max", thick: 3 });
  assert.equal(made.slabWords(grid), "MIP 9.0 mm (3 slices)");
  ["mean", "min", null].forEach((mode) => {
    made.cycleSlab();
    assert.equal(made.slab, mode);
  });
});

test("an overlay without a threshold starts at its own lower end; a mask draws what is set", () => {
  const made = scene(volume(orientations()[0].affine));
  const of = (meta, rest = {}) => made.overlayRange({ threshold: null, top: null, volume: { meta }, ...rest });
  assert.deepEqual(of({ unit: "score", range: [0.1, 0.7], extent: [0, 0.9] }), { threshold: 0.1, lo: 0.1, hi: 0.9 });
  assert.deepEqual(of({ unit: "mask", range: [0, 1], extent: [0, 1] }), { threshold: 0.5, lo: 0.5, hi: 1 });
  const own = of({ unit: "score", range: [0.1, 0.7], extent: [0, 0.9] }, { threshold: 0.4, top: 0.8 });
  assert.deepEqual(own, { threshold: 0.4, lo: 0.4, hi: 0.8 });
});

test("overlays vanish while they are held hidden, and where they are switched off", () => {
  const made = scene(volume(orientations()[0].affine));
  const over = { ...volume(orientations()[0].affine), meta: { unit: "score", range: [0, 1], extent: [0, 1] } };
  made.overlays = [{ volume: over, on: 0, colormap: "hot", opacity: 0.5, threshold: null, top: null, visible: true }];
  assert.equal(made.layersOn(0).length, 1);
  made.overlaysHidden = true;
  assert.equal(made.layersOn(0).length, 0);
  made.overlaysHidden = false;
  made.setOverlay(0, { visible: false });
  assert.equal(made.layersOn(0).length, 0);
});
