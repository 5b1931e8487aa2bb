/** Volumes that lie every way there is, for the tests. */

import { invert, multiply } from "../../../apps/viewer/static/geometry.js";

export const SHAPE = [7, 6, 5];
const SPACING = [0.7, 1.1, 3];

/** The 48 orientations: voxel axes along the patient's, in every order and direction. */
export function orientations() {
  const orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
  const signs = [0, 1, 2, 3, 4, 5, 6, 7].map((n) => [n & 1 ? -1 : 1, n & 2 ? -1 : 1, n & 4 ? -1 : 1]);
  return orders.flatMap((order) => signs.map((sign) => ({
    name: order.map((world, n) => "RASLPI"[sign[n] > 0 ? world : world + 3]).join(""),
    affine: [0, 1, 2].map((world) => [...[0, 1, 2].map((n) => (order[n] === world ? sign[n] * SPACING[n] : 0)), [12, -30, 45][world]]),
  })));
}

/** Five that lie between: turned about one axis, and about several. */
export function obliques() {
  const turns = [[10, 0, 0], [0, -20, 0], [0, 0, 35], [15, 25, -10], [-40, 8, 30]];
  return turns.map((angles) => ({
    name: `oblique ${angles}`,
    affine: angles.reduce((m, angle, axis) => multiply(turn(axis, (angle * Math.PI) / 180), m), orientations()[6].affine),
  }));
}

export function turn(axis, angle) {
  const [a, b] = [(axis + 1) % 3, (axis + 2) % 3];
  const m = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]];
  m[a][a] = m[b][b] = Math.cos(angle);
  m[b][a] = Math.sin(angle);
  m[a][b] = -Math.sin(angle);
  return m;
}

/** A volume as the pictures take it: voxel n holds the value n, or what `value(i, j, k)` says. */
export function volume(affine, shape = SHAPE, value = null) {
  const data = new Float32Array(shape[0] * shape[1] * shape[2]);
  for (let k = 0, n = 0; k < shape[2]; k += 1) {
    for (let j = 0; j < shape[1]; j += 1) {
      for (let i = 0; i < shape[0]; i += 1, n += 1) {
        data[n] = value ? value(i, j, k) : n;
      }
    }
  }
  return { shape, data, inverse: invert(affine), meta: { affine, unit: "arbitrary" } };
}

export function near(assert, found, wanted, within = 1e-6) {
  wanted.forEach((x, n) => assert.ok(Math.abs(found[n] - x) <= within, `${found} is not ${wanted}`));
}
