import assert from "node:assert/strict";
import { test } from "node:test";

import { Keys, keyName } from "../../../apps/viewer/static/keys.js";
import { arrange, fitting, layoutsFor, nextPair, possible } from "../../../apps/viewer/static/layout.js";
import { swiped } from "../../../apps/viewer/static/translation.js";
import { windowGroups } from "../../../apps/viewer/static/windows.js";

const PAIRS = { swipe: [[0, 1], [1, 2]], difference: [[1, 2]] };

test("only series that may be compared are offered to swipe and difference", () => {
  assert.deepEqual(layoutsFor(3, true, PAIRS), ["single", "side", "swipe", "difference"]);
  assert.deepEqual(layoutsFor(2, true, { swipe: [[0, 1]] }), ["single", "side", "swipe"]);
  assert.equal(possible("difference", 2, false, { swipe: [[0, 1]] }), "planes");
  assert.deepEqual(fitting(PAIRS.difference, [0, 1]), [1, 2]);
  assert.deepEqual(fitting(PAIRS.swipe, [1, 2]), [1, 2]);
  assert.deepEqual(fitting(undefined, [0, 3]), [0, 3]);
});

test("the next pair goes round, with a list and without one", () => {
  assert.deepEqual(nextPair(PAIRS.swipe, [0, 1], 3), [1, 2]);
  assert.deepEqual(nextPair(PAIRS.swipe, [1, 2], 3), [0, 1]);
  assert.deepEqual([[0, 1], [0, 2]].map((pair) => nextPair(null, pair, 3)), [[0, 2], [0, 1]]);
  assert.deepEqual(nextPair(null, [0, 1], 2), [0, 1]);
});

test("four series lie two by two", () => {
  const { panes, template } = arrange("side", { native: "axial", plane: "axial", shown: 0, count: 4, pair: [0, 1] });
  assert.deepEqual(panes.map((pane) => pane.series), [0, 1, 2, 3]);
  assert.match(template, /"a b".*"c d"/);
});

test("the line of a swipe stays in the picture", () => {
  assert.ok(Math.abs(swiped(0.5, 1, false) - 0.52) < 1e-9 && Math.abs(swiped(0.5, -1, true) - 0.4) < 1e-9);
  assert.deepEqual([swiped(0.02, -1, true), swiped(0.97, 1, true)], [0.02, 0.98]);
});

test("a page gives a key another meaning, and the old one keeps a key", () => {
  const keys = new Keys();
  const done = [];
  keys.add({ key: "s", help: "old", run: () => done.push("old") });
  keys.add({ key: ["ArrowUp", "ArrowRight"], help: "next slice", run: () => done.push("slice") });
  keys.take("s", "S", { help: "new", run: () => done.push("new") });
  keys.take("ArrowRight", "", { help: "next scan", run: () => done.push("scan") });
  ["s", "S", "ArrowUp", "ArrowRight"].forEach((key) => keys.find(key).run({}));
  assert.deepEqual(done, ["new", "old", "slice", "scan"]);
  assert.deepEqual([keys.find("S").label, keys.find("ArrowUp").label, keyName("Z")], ["Shift s", "↑", "Shift z"]);
});

test("a scan there and back is windowed with the scan", () => {
  const meta = { unit: "arbitrary" };
  assert.deepEqual(windowGroups(["scan", "synthetic", "back"].map((role) => ({ role, meta }))), ["0", "1", "0"]);
});
