/**
 * Parts that attach themselves to a viewer.
 *
 * Each module exports `attach(viewer, extra)`, called once when the viewer is made, with what the page sent as `extra`.
 * Later values arrive by viewer.on("extra", (extra) => ...); viewer.on("dispose", ...) tells that the viewer is gone.
 */
export const EXTENSIONS = ["render3d.js", "strip.js", "findings.js", "threshold.js", "exports.js"];

/** Load and attach all; returns the names of those that could not be. */
export async function attachAll(viewer, extra) {
  const done = await Promise.allSettled(EXTENSIONS.map(async (name) => {
    const part = await import(`./${name}`);
    if (!viewer.disposed) {
      part.attach(viewer, extra);
    }
  }));
  done.forEach((one) => one.status === "rejected" && console.error(one.reason));
  return EXTENSIONS.filter((_, n) => done[n].status === "rejected");
}
