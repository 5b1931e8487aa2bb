import assert from "node:assert/strict";
import { test } from "node:test";

import { sliceInAddress, withSlice } from "../../../apps/viewer/static/address.js";
import { apply, planeGrid } from "../../../apps/viewer/static/geometry.js";
import { Keys, keyName, mayAct } from "../../../apps/viewer/static/keys.js";
import { arrange, layoutsFor, possible } from "../../../apps/viewer/static/layout.js";
import { lengthWords } from "../../../apps/viewer/static/measure.js";
import { gesture } from "../../../apps/viewer/static/pointer.js";
import { placeWords, readout, valueWords } from "../../../apps/viewer/static/readout.js";
import * as view from "../../../apps/viewer/static/view.js";
import { near, obliques, orientations, SHAPE } from "./spaces.mjs";
import { Volume } from "../../../apps/viewer/static/volume.js";

function loaded(affine, unit = "arbitrary") {
  const volume = new Volume({ id: "a", title: "T2", placed: true });
  volume.describe({ shape: SHAPE, dtype: "int16", affine: [...affine, [0, 0, 0, 1]], unit, extent: [-5, 300], range: [0, 200] });
  volume.data.forEach((_, n) => { volume.data[n] = n; });
  volume.loaded = 1;
  return volume;
}

test("the readout names voxel, place, value and unit as they are in the file", () => {
  for (const { affine } of [...orientations(), ...obliques()]) {
    const volume = loaded(affine, "HU");
    const mm = volume.voxelToWorld([4, 2, 3]);
    const told = readout(volume, mm, "RAS", []);
    assert.equal(told.voxel, "voxel [4, 2, 3]");
    assert.equal(told.value, `${4 + 7 * (2 + 6 * 3)} HU`);
    assert.equal(told.place, placeWords(mm, "RAS"));
  }
});

test("LPS and RAS are named and differ in two signs; there is no minus nought", () => {
  assert.equal(placeWords([12.34, -5, 7], "RAS"), "RAS 12.3, -5.0, 7.0 mm");
  assert.equal(placeWords([12.34, -5, 7], "LPS"), "LPS -12.3, 5.0, 7.0 mm");
  assert.equal(placeWords([0.01, 0, -0.02], "LPS"), "LPS 0.0, 0.0, 0.0 mm");
});

test("only a CT is read in HU", () => {
  assert.equal(valueWords(40, "HU"), "40 HU");
  assert.equal(valueWords(40, "arbitrary"), "40 arbitrary units");
  assert.equal(valueWords(0.1234567, "score"), "0.12346 score");
  assert.equal(valueWords(null, "HU"), "-");
});

test("outside the series there is no value; a picture has no place in a patient", () => {
  const volume = loaded(orientations()[0].affine);
  assert.equal(readout(volume, volume.voxelToWorld([-3, 0, 0]), "LPS", []).value, "-");
  volume.about.placed = false;
  assert.match(readout(volume, [0, 0, 0], "LPS", []).place, /no place/);
});

test("a voxel that has not arrived has no value", () => {
  const volume = loaded(orientations()[0].affine);
  volume.loaded = 0.4;
  volume.received = 2 * volume.sliceBytes + 1;
  assert.equal(volume.value(0, 0, 1), 42);
  assert.equal(volume.value(0, 0, 2), null);
  volume.early.add(2);
  assert.equal(volume.value(0, 0, 2), 84);
});

test("a distance is the affine's, on every plane", () => {
  for (const { affine } of [...orientations(), ...obliques()]) {
    const [a, b] = [[1, 1, 2], [5, 4, 2]].map((ijk) => apply(affine, ijk));
    const exact = Math.hypot(4 * 0.7, 3 * 1.1);
    assert.equal(lengthWords(a, b, true), `${exact.toFixed(1)} mm`);
  }
  assert.equal(lengthWords([0, 0, 0], [3, 4, 0], false), "5 px");
});

test("a point of the pane and a pixel find each other at any zoom and pan", () => {
  const grid = planeGrid(obliques()[3].affine, SHAPE, "coronal");
  let where = { zoom: 1, centre: null };
  for (const change of [(v, l) => view.zoomed(v, grid, l, 2, 3, 50, 60), (v, l) => view.panned(v, grid, l, 2, 17, -9)]) {
    const lie = view.place(grid, grid, where, 400, 300);
    near(assert, view.toPicture(lie, ...view.toPane(lie, 1.5, 2)), [1.5, 2]);
    where = change(where, lie);
  }
});

test("zooming keeps the place under the pointer; panning moves it by as many pixels", () => {
  const grid = planeGrid(orientations()[0].affine, SHAPE, "axial");
  const before = view.place(grid, grid, { zoom: 1, centre: null }, 400, 300);
  const held = view.toPicture(before, 50, 60);
  const closer = view.zoomed({ zoom: 1, centre: null }, grid, before, 2, 3, 50, 60);
  const after = view.place(grid, grid, closer, 400, 300);
  near(assert, view.toPane(after, ...held), [50, 60]);
  const moved = view.place(grid, grid, view.panned(closer, grid, after, 2, 17, -9), 400, 300);
  near(assert, view.toPane(moved, ...held), [67, 51]);
});

test("the whole plane fits its pane, in its true proportions", () => {
  const grid = planeGrid(orientations()[0].affine, SHAPE, "coronal");
  const lie = view.place(grid, grid, { zoom: 1, centre: null }, 400, 300);
  assert.ok(lie.perColumn * grid.size[0] <= 400 + 1e-9 && lie.perRow * grid.size[1] <= 300 + 1e-9);
  near(assert, [lie.perRow / lie.perColumn], [3 / 0.7]);
});

test("comparing is offered for two series, planes for more than one slice", () => {
  assert.deepEqual(layoutsFor(1, false), ["single", "planes", "quad"]);
  assert.deepEqual(layoutsFor(1, true), ["single"]);
  assert.deepEqual(layoutsFor(2, true), ["single", "side", "swipe", "difference"]);
  assert.equal(possible("swipe", 1, false), "planes");
  assert.equal(possible("planes", 2, true), "side");
  const { panes } = arrange("planes", { native: "coronal", plane: "axial", shown: 0, count: 1, pair: [0, 0] });
  assert.deepEqual(panes.map((pane) => pane.plane), ["coronal", "axial", "sagittal"]);
});

test("the right button sets the window, the middle one and Shift move, the left does what the tool says", () => {
  assert.equal(gesture({ button: 2 }, "crosshair"), "window");
  assert.equal(gesture({ button: 1 }, "crosshair"), "pan");
  assert.equal(gesture({ button: 0, shiftKey: true }, "distance"), "pan");
  assert.equal(gesture({ button: 0 }, "distance"), "distance");
});

test("a key has one meaning, and none while someone types", () => {
  const keys = new Keys();
  keys.add({ key: "m", help: "slab", run: () => {} });
  assert.throws(() => keys.add({ key: ["q", "m"], help: "other", run: () => {} }), /already means "slab"/);
  assert.equal(keyName(" "), "Space");
  const element = (...names) => ({
    closest: (list) => names.some((name) => list.split(", ").includes(name)), matches: (list) => names.includes(list),
  });
  assert.ok(mayAct(null, "m"));
  assert.ok(mayAct(element("div"), "m"));
  assert.ok(!mayAct(element("input"), "m"));
  assert.ok(!mayAct(element("[role=grid]"), "ArrowUp"));
  assert.ok(mayAct(element("button"), "ArrowUp"));
  assert.ok(!mayAct(element("button"), " "));
  assert.ok(!mayAct(element("input", "input[type=range]"), "ArrowUp"));
  assert.ok(mayAct(element("input", "input[type=range]"), "n"));
});

test("the address keeps the slice and everything else", () => {
  assert.equal(sliceInAddress("?study=a&slice=12"), 12);
  for (const wrong of ["", "?slice=0", "?slice=-1", "?slice=1e9", "?slice=x"]) {
    assert.equal(sliceInAddress(wrong), null);
  }
  assert.equal(withSlice("http://127.0.0.1:1/studies?series=a%2Cb&slice=3#x", 7), "http://127.0.0.1:1/studies?series=a%2Cb&slice=7#x");
});
