import assert from "node:assert/strict";
import { test } from "node:test";

import { Newest } from "../../../apps/viewer/static/explore_ask.js";
import { keyOf, MISSING, PALETTE, ramp, tally } from "../../../apps/viewer/static/explore_colours.js";
import { maskOf, raster, rgbOf } from "../../../apps/viewer/static/explore_dots.js";
import { dragged, fit, placed, spread, under, within, zoomed } from "../../../apps/viewer/static/explore_space.js";

const XS = [0, 10, 5, null];
const YS = [0, 4, 2, 3];
const [WIDTH, HEIGHT] = [400, 300];

test("all points fit, upright, at one scale, and a point without a place is nowhere", () => {
  const view = fit(XS, YS, WIDTH, HEIGHT, 20);
  const { x, y } = placed(XS, YS, view, WIDTH, HEIGHT);
  assert.equal(x[0], 20);
  assert.equal(x[1], 380);
  assert.ok(y[1] < y[0], "higher values lie higher");
  assert.ok(Math.abs((x[1] - x[0]) / 10 - (y[0] - y[1]) / 4) < 1e-5, "one scale");
  assert.ok(Number.isNaN(x[3]));
  assert.ok(fit([], [], WIDTH, HEIGHT).scale > 0);
});

test("zooming keeps what is under the pointer, dragging moves it along", () => {
  const view = fit(XS, YS, WIDTH, HEIGHT);
  const before = placed(XS, YS, view, WIDTH, HEIGHT);
  const after = placed(XS, YS, zoomed(view, before.x[1], before.y[1], 3, WIDTH, HEIGHT), WIDTH, HEIGHT);
  assert.ok(Math.abs(after.x[1] - before.x[1]) < 1e-3 && Math.abs(after.y[1] - before.y[1]) < 1e-3);
  assert.ok(Math.abs(after.x[0] - before.x[0]) > 100);
  const moved = placed(XS, YS, dragged(view, 7, -9), WIDTH, HEIGHT);
  assert.ok(Math.abs(moved.x[2] - before.x[2] - 7) < 1e-3 && Math.abs(moved.y[2] - before.y[2] + 9) < 1e-3);
});

test("the pointer finds the nearest point in reach, the lasso what it goes around", () => {
  const places = { x: Float32Array.of(10, 50, 90, NaN), y: Float32Array.of(10, 50, 90, NaN) };
  assert.equal(under(places, 52, 49), 1);
  assert.equal(under(places, 30, 30), -1);
  assert.deepEqual(within(places, [[0, 0], [60, 0], [60, 60], [0, 60]]), [0, 1]);
  // A hook that goes round the middle point without holding it.
  assert.deepEqual(within(places, [[0, 0], [100, 0], [100, 100], [80, 100], [80, 20], [0, 20]]), [0, 2]);
  assert.deepEqual(within(places, [[0, 0], [1, 1]]), []);
});

test("of many, sixty are shown, spread evenly, and others the next time", () => {
  const rows = Array.from({ length: 1000 }, (_, n) => 3 * n);
  const shown = spread(rows, 60);
  assert.equal(new Set(shown).size, 60);
  assert.ok(shown[59] > 2900 && shown[0] === 0);
  assert.equal(new Set([...shown, ...spread(rows, 60, 1)]).size, 120);
  assert.deepEqual(spread([4, 2], 60), [4, 2]);
});

test("missing is grey, other names share a shape of their own, more than eight get a second shape", () => {
  const names = [...Array.from({ length: 9 }, (_, n) => `c${n}`), "other"];
  const key = keyOf({ kind: "category", names, values: [0, 8, 9, -1] }, 4);
  const looks = [...key.of].map((mark) => key.marks[mark]);
  assert.equal(looks[0].colour, PALETTE[0]);
  assert.equal(looks[1].colour, PALETTE[0]);
  assert.notEqual(looks[1].shape, looks[0].shape);
  assert.equal(looks[3].colour, MISSING);
  assert.deepEqual(key.legend.map((one) => one.name), ["c0", "c8", "other", "not known"]);
});

test("one far value does not take the colours from all others", () => {
  const values = [...Array.from({ length: 99 }, (_, n) => n), 1e9, null];
  const key = keyOf({ kind: "number", values }, values.length);
  assert.ok(key.range[1] < 200);
  assert.equal(key.marks[key.of[100]].colour, MISSING);
  assert.ok(key.of[50] > key.of[10] && key.of[99] >= key.of[98]);
  const light = (share) => ramp(share).match(/\d+/g).reduce((sum, value) => sum + Number(value), 0);
  assert.ok([0.2, 0.4, 0.6, 0.8, 1].every((share, n) => light(share) > light([0, 0.2, 0.4, 0.6, 0.8][n])));
});

test("a selection is told by its names", () => {
  const column = { kind: "category", names: ["T1", "T2"], values: [0, 1, 1, -1] };
  assert.equal(tally(column, [1, 2, 0, 3]), "2 T2, 1 T1, 1 not known");
  assert.equal(tally({ kind: "number", values: [1] }, [0]), "");
});

test("one question in flight, the newest waits, older ones are never asked", async () => {
  const asked = [];
  const open = [];
  const shown = [];
  const failed = [];
  const newest = new Newest((question) => {
    asked.push(question);
    return new Promise((yes, no) => open.push({ yes, no }));
  }, (answer) => shown.push(answer), (error) => failed.push(error.message));
  [1, 2, 3, 4].forEach((question) => newest.ask(question));
  assert.deepEqual(asked, [1]);
  open[0].yes("one");
  await new Promise(setImmediate);
  assert.deepEqual(asked, [1, 4]);
  newest.cancel();
  newest.ask(5);
  open[1].yes("four");
  await new Promise(setImmediate);
  assert.deepEqual(shown, ["one"], "an answer that came after a cancel is dropped");
  open[2].no(new Error("gone"));
  await new Promise(setImmediate);
  assert.deepEqual([asked, failed, newest.busy], [[1, 4, 5], ["gone"], false]);
});

test("points are painted where they lie, chosen ones last and full, those outside not at all", () => {
  const places = { x: Float32Array.of(10, 10, NaN, -500), y: Float32Array.of(5, 5, 5, 5) };
  const looks = [{ rgb: rgbOf("#ff0000"), shape: "disc" }, { rgb: rgbOf("rgb(0, 0, 255)"), shape: "ring" }];
  const paint = (chosen) => raster({ width: 40, height: 20, ratio: 2, places, of: Uint8Array.of(0, 0, 1, 1), looks, chosen: new Set(chosen), faint: 0.5, radius: 2 });
  const at = (data, x, y) => [...data.slice((y * 40 + x) * 4, (y * 40 + x) * 4 + 4)];
  assert.deepEqual(at(paint([0]), 20, 10), [255, 0, 0, 255]);
  const faint = at(paint([]), 20, 10);
  assert.ok(faint[0] > 180 && faint[0] < 200, "two faint points, one above the other");
  assert.deepEqual(at(paint([]), 30, 10), [7, 9, 11, 255]);
  const ring = maskOf("ring", 4);
  assert.ok(ring.cover[ring.reach * ring.side + ring.reach] === 0 && ring.cover[ring.reach * ring.side] > 0.4);
});
