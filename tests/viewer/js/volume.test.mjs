import assert from "node:assert/strict";
import { test } from "node:test";

import { Volume } from "../../../apps/viewer/static/volume.js";

globalThis.document = { baseURI: "http://127.0.0.1:1/studies" };
const META = {
  key: "k1", shape: [4, 3, 5], dtype: "int16", extent: [-7, 60], range: [0, 50], unit: "arbitrary",
  affine: [[-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]],
};
const VALUES = Int16Array.from({ length: 60 }, (_, n) => n);
const BYTES = new Uint8Array(VALUES.buffer);

/** A server: answers by the end of the path, notes what was asked. */
function serve(t, answers) {
  const asked = [];
  t.mock.method(globalThis, "fetch", async (url) => {
    asked.push(url.pathname.replace("/voxels/abc", "") + url.search);
    const answer = answers(asked.at(-1), asked.length);
    if (answer instanceof Error) {
      throw answer;
    }
    return answer;
  });
  return asked;
}

function body(path) {
  if (path === "/meta") {
    return Response.json(META);
  }
  const slice = path.match(/^\/slice\/(\d)/);
  return new Response(slice ? BYTES.slice(24 * slice[1], 24 * slice[1] + 24) : BYTES.slice());
}

async function load(first = 2) {
  const volume = new Volume({ id: "abc", title: "T1", placed: true });
  const seen = [];
  await volume.load(() => first, (v) => seen.push([v.loaded, v.value(0, 0, 0), v.value(0, 0, first)]));
  return { volume, seen };
}

test("the asked-for slice comes first, then everything, and each voxel is the file's", async (t) => {
  const asked = serve(t, body);
  const { volume, seen } = await load();
  assert.deepEqual(asked, ["/meta", "/slice/2?key=k1", "?key=k1"]);
  assert.deepEqual(seen[1], [0, null, 24]);
  assert.deepEqual([...volume.data], [...VALUES]);
  assert.equal(volume.value(3, 2, 4), 59);
  assert.equal(volume.complete, true);
});

test("what cannot be read is told in the server's sentence, at once", async (t) => {
  const asked = serve(t, () => Response.json({ problem: "this file is truncated" }, { status: 422 }));
  const { volume } = await load();
  assert.equal(volume.error, "This file is truncated.");
  assert.equal(asked.length, 1);
});

test("a series that is gone, or has changed, is told", async (t) => {
  serve(t, (path) => (path === "/meta" ? body(path) : new Response("", { status: path.startsWith("/slice") ? 409 : 404 })));
  assert.match((await load()).volume.error, /changed on disk/);
  t.mock.restoreAll();
  serve(t, () => new Response("", { status: 404 }));
  assert.match((await load()).volume.error, /no longer there/);
});

test("a lost connection is tried again; one that stays lost says that the viewer has been stopped", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const tick = setInterval(() => t.mock.timers.tick(5000), 1);
  t.after(() => clearInterval(tick)); // after a failure too: else Node would wait for ever
  const asked = serve(t, (path, turn) => (turn === 1 || turn === 4 ? new TypeError("fetch failed") : body(path)));
  assert.equal((await load()).volume.complete, true);
  assert.equal(asked.length, 5);
  t.mock.restoreAll();
  serve(t, () => new TypeError("fetch failed"));
  assert.match((await load()).volume.error, /has been stopped/);
});

test("too few and too many bytes are no series", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const tick = setInterval(() => t.mock.timers.tick(5000), 1);
  t.after(() => clearInterval(tick)); // after a failure too: else Node would wait for ever
  serve(t, (path) => (path.startsWith("?") ? new Response(BYTES.slice(0, 100)) : body(path)));
  assert.match((await load()).volume.error, /incomplete/);
  t.mock.restoreAll();
  serve(t, (path) => (path.startsWith("?") ? new Response(new Uint8Array(200)) : body(path)));
  assert.match((await load()).volume.error, /changed on disk/);
});

test("a volume that was let go stops asking and says nothing", async (t) => {
  const asked = serve(t, body);
  const volume = new Volume({ id: "abc" });
  let told = 0;
  const loading = volume.load(() => 0, () => { told += 1; });
  volume.dispose();
  await loading;
  assert.ok(asked.length <= 1);
  assert.equal(told, 0);
  assert.equal(volume.data, null);
});
