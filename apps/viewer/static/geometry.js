/**
 * Where a picture lies in the patient. No DOM.
 *
 * Spaces: voxel [i, j, k] (0-based, fractional between centres), mm [x, y, z] in RAS (x to the patient's right, y to the
 * front, z to the head), picture [c, r, s] (column from the left, row from the top, slice). Matrices are three rows of
 * four numbers; the fourth row is 0 0 0 1.
 */

/** Where each plane's picture points in RAS, patient's right on the left of the picture (radiological). */
export const PLANES = {
  axial: { right: [-1, 0, 0], down: [0, -1, 0], axis: 2 },
  coronal: { right: [-1, 0, 0], down: [0, 0, -1], axis: 1 },
  sagittal: { right: [0, -1, 0], down: [0, 0, -1], axis: 0 },
};

export const PLANE_NAMES = Object.keys(PLANES);
const LETTERS = [["R", "L"], ["A", "P"], ["S", "I"]];
const TILT = Math.sin((15 * Math.PI) / 180); // less of a tilt gets no second letter

/** matrix * point, both in the spaces the matrix joins. */
export function apply(m, p) {
  return m.map((row) => row[0] * p[0] + row[1] * p[1] + row[2] * p[2] + row[3]);
}

/** a after b. */
export function multiply(a, b) {
  return a.map((row) => [0, 1, 2, 3].map(
    (n) => row[0] * b[0][n] + row[1] * b[1][n] + row[2] * b[2][n] + (n === 3 ? row[3] : 0)));
}

/** Column n of the linear part: the step of one index, in the target's units. */
export function column(m, n) {
  return [m[0][n], m[1][n], m[2][n]];
}

export function length(v) {
  return Math.hypot(v[0], v[1], v[2]);
}

export function dot(a, b) {
  return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

export function unit(v) {
  const size = length(v);
  return v.map((x) => x / size);
}

export function distance(a, b) {
  return length([a[0] - b[0], a[1] - b[1], a[2] - b[2]]);
}

/** The inverse. Throws a RangeError where the matrix is flat: such a volume has no place. */
export function invert(m) {
  const [a, b, c] = [0, 1, 2].map((n) => column(m, n));
  const rows = [cross(b, c), cross(c, a), cross(a, b)];
  const volume = dot(a, rows[0]);
  if (!(Math.abs(volume) > 1e-12)) {
    throw new RangeError("this series says that its voxels have no size");
  }
  const shift = column(m, 3);
  return rows.map((row) => {
    const r = row.map((x) => x / volume);
    return [...r, -dot(r, shift)];
  });
}

function cross(a, b) {
  return [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
}

/** For each patient axis (x, y, z) the voxel axis nearest to it; each voxel axis is used once. */
export function nearestAxes(affine) {
  const steps = [0, 1, 2].map((n) => unit(column(affine, n)));
  const orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
  const fit = (order) => order.reduce((sum, n, world) => sum + Math.abs(steps[n][world]), 0);
  return orders.reduce((best, order) => (fit(order) > fit(best) + 1e-9 ? order : best));
}

/**
 * The grid of one plane along the volume's own voxel axes: nothing of it is interpolated.
 *
 * size: [columns, rows, slices]. toVoxel, toMm: from picture; toPicture: from mm. Slices count as the voxels do;
 * `towards` is +1 where the next slice lies further to the head, front or right, -1 where it lies the other way.
 */
export function planeGrid(affine, shape, plane, neurological = false) {
  const { right, down, axis } = PLANES[plane];
  const axes = nearestAxes(affine);
  const across = neurological ? right.map((x) => (x && plane !== "sagittal" ? -x : x)) : right;
  const roles = [across, down].map((direction) => {
    const n = axes[direction.findIndex((x) => x !== 0)];
    return { n, sign: dot(column(affine, n), direction) < 0 ? -1 : 1 };
  });
  const through = axes[axis];
  const toVoxel = [[0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]];
  roles.forEach(({ n, sign }, role) => {
    toVoxel[n][role] = sign;
    toVoxel[n][3] = sign > 0 ? 0 : shape[n] - 1;
  });
  toVoxel[through][2] = 1;
  const toMm = multiply(affine, toVoxel);
  return {
    plane, toVoxel, toMm, toPicture: invert(toMm), size: [shape[roles[0].n], shape[roles[1].n], shape[through]],
    towards: affine[axis][through] < 0 ? -1 : 1, through,
  };
}

/** True where two grids' rows, columns and slices run alike, to 2.5 degrees. */
export function parallel(a, b) {
  return [0, 1, 2].every((n) => Math.abs(dot(unit(column(a.toMm, n)), unit(column(b.toMm, n)))) > 0.999);
}

/** Letters of a direction in RAS: "L", or "AL" where it lies between; largest part first. */
export function letters(direction) {
  const d = unit(direction);
  return [0, 1, 2]
    .sort((a, b) => Math.abs(d[b]) - Math.abs(d[a]))
    .filter((n, place) => place === 0 || Math.abs(d[n]) >= TILT)
    .map((n) => LETTERS[n][d[n] > 0 ? 0 : 1])
    .join("");
}

/** The letters at the four edges of a grid's picture. */
export function edgeLetters(grid) {
  const right = column(grid.toMm, 0);
  const down = column(grid.toMm, 1);
  const back = (v) => v.map((x) => -x);
  return { right: letters(right), left: letters(back(right)), bottom: letters(down), top: letters(back(down)) };
}

/** The plane in which a series was taken: across its thickest voxels; axial where they are about as long as wide. */
export function nativePlane(affine, shape) {
  const axes = nearestAxes(affine);
  const single = shape.findIndex((n) => n === 1);
  const spacing = [0, 1, 2].map((n) => length(column(affine, n)));
  const thick = spacing.indexOf(Math.max(...spacing));
  const others = spacing.filter((_, n) => n !== thick);
  const through = single >= 0 ? single : spacing[thick] > 1.25 * Math.max(...others) ? thick : axes[2];
  return PLANE_NAMES.find((plane) => axes[PLANES[plane].axis] === through);
}

/** RAS mm to what DICOM readers call LPS, and back. */
export function lps(mm) {
  return [-mm[0], -mm[1], mm[2]];
}
