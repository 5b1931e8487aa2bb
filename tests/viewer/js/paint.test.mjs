import assert from "node:assert/strict";
import { test } from "node:test";

import { refusesDifference, scalesOf, subtract } from "../../../apps/viewer/static/difference.js";
import { BLACK, OVERLAY_MAPS, paint, palette } from "../../../apps/viewer/static/paint.js";
import * as w from "../../../apps/viewer/static/windows.js";

const grey = (n) => (BLACK | (n << 16) | (n << 8) | n) >>> 0;
const CT = { unit: "HU", range: [-900, 1200], extent: [-1024, 3000] };
const MR = { unit: "arbitrary", range: [100, 900], extent: [0, 1500] };

test("every preset paints the greys of its formula, in and around the window", () => {
  for (const { width, level } of w.PRESETS) {
    const { lo, hi } = w.fromLevel(width, level);
    const values = Float32Array.from({ length: 3001 }, (_, n) => n - 1500);
    const out = new Uint32Array(values.length);
    paint(values, { lo, hi, colours: palette("gray") }, [], out);
    values.forEach((value, p) => {
      const exact = Math.min(255, Math.max(0, (255 * (value - (level - width / 2))) / width));
      assert.equal(out[p], grey(out[p] & 255));
      assert.ok(Math.abs((out[p] & 255) - exact) <= 0.5 + 1e-9);
    });
  }
});

test("the five CT presets are those that radiologists know", () => {
  const told = w.PRESETS.map(({ key, name, width, level }) => `${key} ${name} ${width}/${level}`);
  assert.deepEqual(told, ["1 soft tissue 400/40", "2 lung 1500/-600", "3 liver 150/90", "4 bone 2500/480", "5 brain 80/40"]);
});

test("MR opens with 1-99 %, and never with HU", () => {
  assert.deepEqual(w.firstWindow(MR), { lo: 100, hi: 900 });
  assert.deepEqual(w.firstWindow(CT), { lo: -160, hi: 240 });
  assert.equal(w.windowWords(w.firstWindow(CT), CT), "W 400 L 40 (soft tissue)");
  for (const range of [[-1024, -770], [900, 1400]]) {
    assert.deepEqual(w.firstWindow({ ...CT, range }), { lo: range[0], hi: range[1] });
  }
  assert.equal(w.windowWords({ lo: 0, hi: 33 }, MR), "W 33 L 16.5");
  assert.equal(w.presetsOf(MR).at(-1).name, "full range");
});

test("dragging right widens, dragging down raises the level: darker", () => {
  const before = { lo: 0, hi: 100 };
  assert.deepEqual(w.dragged(before, 10, 0, 2), { lo: -10, hi: 110 });
  assert.deepEqual(w.dragged(before, 0, 10, 2), { lo: 20, hi: 120 });
  const { lo, hi } = w.dragged(before, -1000, 0, 2);
  assert.ok(hi > lo);
});

test("series in HU are windowed together, and an expected normal with its scan", () => {
  const groups = w.windowGroups([
    { role: "scan", meta: MR }, { role: "expected", meta: MR }, { role: "anomaly", meta: { unit: "score" } },
    { role: "scan", meta: CT }, { role: "scan", meta: CT },
  ]);
  assert.deepEqual(groups, ["0", "0", "2", "HU", "HU"]);
});

test("an inverted window is the same greys backwards; nothing is black either way", () => {
  const values = Float32Array.from([0, 255, NaN, 51]);
  const [plain, inverted] = [false, true].map((turned) => {
    const out = new Uint32Array(4);
    paint(values, { lo: 0, hi: 255, colours: palette("gray", turned) }, [], out);
    return [...out];
  });
  assert.deepEqual(plain, [grey(0), grey(255), BLACK, grey(51)]);
  assert.deepEqual(inverted, [grey(255), grey(0), BLACK, grey(204)]);
});

test("an overlay colours what is above its lower threshold, mixed by its opacity", () => {
  const base = Float32Array.from([100, 100, 100, 100]);
  const over = Float32Array.from([0.3, 0.31, 0.9, NaN]);
  const out = new Uint32Array(4);
  const layer = { values: over, threshold: Math.fround(0.3), lo: 0.3, hi: 0.9, colours: palette("red"), opacity: 0.25 };
  paint(base, { lo: 0, hi: 255, colours: palette("gray") }, [layer], out);
  const mixed = (low, top) => (low * 192 + top * 64) >> 8;
  const wanted = BLACK | (mixed(100, 60) << 16) | (mixed(100, 60) << 8) | mixed(100, 255);
  assert.deepEqual([...out], [grey(100), wanted >>> 0, wanted >>> 0, grey(100)]);
});

test("the first and the last colour of each map stand at its ends", () => {
  for (const name of OVERLAY_MAPS) {
    const out = new Uint32Array(3);
    const values = Float32Array.from([0.3, 0.9, 5]);
    const layer = { values, threshold: 0, lo: 0.3, hi: 0.9, colours: palette(name), opacity: 1 };
    paint(new Float32Array(3), { lo: 0, hi: 1, colours: palette("gray") }, [layer], out);
    assert.deepEqual([...out], [palette(name)[0], palette(name)[255], palette(name)[255]]);
  }
  assert.throws(() => palette("rainbow"), /unknown/);
});

test("a difference of HU is in HU; of MR by each series' own 1-99 %; of other units a sentence", () => {
  const ct = { meta: CT };
  const mr = { meta: MR };
  const other = { meta: { ...MR, range: [0, 200] } };
  assert.match(refusesDifference(ct, mr), /different units/);
  assert.match(refusesDifference(ct, null), /two series/);
  assert.equal(refusesDifference(mr, other), "");
  const hu = scalesOf(ct, ct, true);
  assert.deepEqual([...subtract([30, NaN], [50, 1], hu, new Float32Array(2))], [-20, NaN]);
  const own = scalesOf(mr, other, false);
  assert.match(own.words, /own 1-99 %/);
  const found = subtract([500, 900, 0], [100, 0, 50], own, new Float32Array(3));
  assert.deepEqual([...found], [0, 1, -0.25]); // darker than 1 % counts as 1 %
});
