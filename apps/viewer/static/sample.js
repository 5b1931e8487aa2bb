/** One picture of a volume on a grid, as values. No DOM. */

import { apply, column, multiply } from "./geometry.js";

const NEAR = 1e-3; // of a voxel: what affines stored as float32 differ by

/** How n neighbouring slices become one. Thickness is told in mm on the screen. */
export const SLABS = {
  max: { label: "MIP", word: "brightest", start: -Infinity, join: (a, b) => (b > a ? b : a) },
  mean: { label: "Mean", word: "average", start: 0, join: (a, b) => a + b },
  min: { label: "MinIP", word: "darkest", start: Infinity, join: (a, b) => (b < a ? b : a) },
};

/** The slices of a slab of `thick` slices around `middle`, inside 0 .. count - 1. */
export function slabSlices(middle, thick, count) {
  const first = middle - Math.floor((thick - 1) / 2);
  const all = Array.from({ length: thick }, (_, n) => first + n);
  return all.filter((s) => s >= 0 && s < count);
}

/**
 * Values of slice s of `grid`, row by row from the top left, into `out` (Float32Array, columns * rows); NaN outside.
 *
 * volume: { data, shape, inverse } (typed array, i fastest; inverse: mm -> voxel). slab: null or { mode, thick }.
 * nearest: no interpolation (masks). Where the grid's rows and columns run along the volume's, values are its own.
 */
export function sampleSlice(volume, grid, s, out, { slab = null, nearest = false } = {}) {
  const map = multiply(volume.inverse, grid.toMm);
  const read = along(map) ? readAlong : nearest ? readNearest : readBetween;
  if (!slab || slab.thick < 2) {
    read(volume, map, grid.size, s, out);
    return out;
  }
  return joined(read, volume, map, grid.size, slabSlices(s, slab.thick, grid.size[2]), slab.mode, out);
}

function joined(read, volume, map, size, slices, mode, out) {
  const { start, join } = SLABS[mode];
  const one = new Float32Array(out.length);
  const seen = new Uint16Array(out.length);
  out.fill(start);
  for (const s of slices) {
    read(volume, map, size, s, one);
    for (let p = 0; p < out.length; p += 1) {
      if (one[p] === one[p]) {
        out[p] = join(out[p], one[p]);
        seen[p] += 1;
      }
    }
  }
  for (let p = 0; p < out.length; p += 1) {
    out[p] = seen[p] === 0 ? NaN : mode === "mean" ? out[p] / seen[p] : out[p];
  }
  return out;
}

/** True where a step of the picture is a whole step along one voxel axis, and pixels fall on voxel centres. */
function along(map) {
  const whole = (x) => Math.abs(x - Math.round(x)) < NEAR;
  const axis = (v) => v.every((x) => whole(x)) && v.reduce((sum, x) => sum + Math.abs(Math.round(x)), 0) === 1;
  return [0, 1, 2].every((n) => axis(column(map, n))) && column(map, 3).every((x) => whole(x));
}

function readAlong(volume, map, [width, height], s, out) {
  const [nx, ny, nz] = volume.shape;
  const m = map.map((row) => row.map((x) => Math.round(x)));
  const corners = [[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]].map(([c, r]) => apply(m, [c, r, s]));
  if (!corners.every(([i, j, k]) => i >= 0 && j >= 0 && k >= 0 && i < nx && j < ny && k < nz)) {
    readNearest(volume, m, [width, height], s, out);
    return;
  }
  const index = (v) => v[0] + nx * (v[1] + ny * v[2]);
  const data = volume.data;
  const stepC = index(column(m, 0));
  const stepR = index(column(m, 1));
  let row = index(corners[0]);
  for (let r = 0, p = 0; r < height; r += 1, row += stepR) {
    for (let c = 0, at = row; c < width; c += 1, p += 1, at += stepC) {
      out[p] = data[at];
    }
  }
}

function readNearest(volume, m, [width, height], s, out) {
  const [nx, ny, nz] = volume.shape;
  const data = volume.data;
  for (let r = 0, p = 0; r < height; r += 1) {
    const [x, y, z] = apply(m, [0, r, s]);
    for (let c = 0; c < width; c += 1, p += 1) {
      const i = Math.round(x + c * m[0][0]);
      const j = Math.round(y + c * m[1][0]);
      const k = Math.round(z + c * m[2][0]);
      const inside = i >= 0 && j >= 0 && k >= 0 && i < nx && j < ny && k < nz;
      out[p] = inside ? data[i + nx * (j + ny * k)] : NaN;
    }
  }
}

/** Trilinear inside the voxels' outer faces; half a voxel at the border repeats the outermost centre. */
function readBetween(volume, m, [width, height], s, out) {
  const { shape, data } = volume;
  const [nx, ny] = shape;
  for (let r = 0, p = 0; r < height; r += 1) {
    const start = apply(m, [0, r, s]);
    for (let c = 0; c < width; c += 1, p += 1) {
      const x = start[0] + c * m[0][0];
      const y = start[1] + c * m[1][0];
      const z = start[2] + c * m[2][0];
      out[p] = between(data, shape, nx, nx * ny, x, y, z);
    }
  }
}

function between(data, shape, row, plane, x, y, z) {
  if (x < -0.5 || y < -0.5 || z < -0.5 || x > shape[0] - 0.5 || y > shape[1] - 0.5 || z > shape[2] - 0.5) {
    return NaN;
  }
  const cx = Math.min(Math.max(x, 0), shape[0] - 1);
  const cy = Math.min(Math.max(y, 0), shape[1] - 1);
  const cz = Math.min(Math.max(z, 0), shape[2] - 1);
  const i = Math.floor(cx);
  const j = Math.floor(cy);
  const k = Math.floor(cz);
  const a = cx - i;
  const b = cy - j;
  const c = cz - k;
  const at = i + row * j + plane * k;
  const dx = a > 0 ? 1 : 0;
  const dy = b > 0 ? row : 0;
  const dz = c > 0 ? plane : 0;
  const low = mix(mix(data[at], data[at + dx], a), mix(data[at + dy], data[at + dy + dx], a), b);
  const top = at + dz;
  const high = mix(mix(data[top], data[top + dx], a), mix(data[top + dy], data[top + dy + dx], a), b);
  return mix(low, high, c);
}

function mix(a, b, t) {
  return a + (b - a) * t;
}
