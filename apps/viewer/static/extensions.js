/**
 * Parts that attach themselves to a viewer.
 *
 * Each module exports `attach(viewer, extra)`, called once when the viewer is made, with what the page sent as `extra`.
 * Later values arrive by viewer.on("extra", (extra) => ...); viewer.on("dispose", ...) tells that the viewer is gone.
 */
export const EXTENSIONS = ["render3d.js", "strip.js", "findings.js", "threshold.js", "exports.js", "translation.js"];

/** Load and attach all; returns the names of those that could not be. */
export async function attachAll(viewer, extra) {
  const parts = await Promise.allSettled(EXTENSIONS.map((name) => import(`./${name}`)));
  // One after the other, in this order: a later one may give a key of an earlier one another meaning.
  return EXTENSIONS.filter((_, n) => {
    try {
      if (parts[n].status === "rejected") {
        throw parts[n].reason;
      }
      if (!viewer.disposed) {
        parts[n].value.attach(viewer, extra);
      }
      return false;
    } catch (error) {
      console.error(error);
      return true;
    }
  });
}
