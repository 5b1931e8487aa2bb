/** One picture of a volume on a grid, as values. No DOM. */

import { apply, column, multiply } from "./geometry.js";

const NEAR = 0.02; // of a voxel over the whole picture: what affines stored as float32 differ by

/** What a slab is called on the screen. */
export const SLABS = { max: { label: "MIP" }, mean: { label: "Mean" }, min: { label: "MinIP" } };

const JOIN = { max: (a, b) => (b > a ? b : a), mean: (a, b) => a + b, min: (a, b) => (b < a ? b : a) };
const ALONG = { max: brightest, mean: average, min: darkest };

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
  const straight = along(map, grid.size);
  const read = straight ? readAlong : nearest ? readNearest : readBetween;
  if (!slab || slab.thick < 2) {
    read(volume, map, grid.size, s, out);
    return out;
  }
  const slices = slabSlices(s, slab.thick, grid.size[2]);
  const corners = straight ? lines(volume, map, grid.size, slices[0], slices.length) : null;
  if (corners) {
    ALONG[slab.mode](volume.data, corners, grid.size, out);
    return out;
  }
  return joined(read, volume, map, grid.size, slices, slab.mode, out);
}

/** A slab of slices that had to be interpolated one by one. */
function joined(read, volume, map, size, slices, mode, out) {
  const one = new Float32Array(out.length);
  const seen = new Uint16Array(out.length);
  for (const s of slices) {
    read(volume, map, size, s, one);
    for (let p = 0; p < out.length; p += 1) {
      if (one[p] === one[p]) {
        out[p] = seen[p] === 0 ? one[p] : JOIN[mode](out[p], one[p]);
        seen[p] += 1;
      }
    }
  }
  for (let p = 0; p < out.length; p += 1) {
    out[p] = seen[p] === 0 ? NaN : mode === "mean" ? out[p] / seen[p] : out[p];
  }
  return out;
}

/** True where steps of the picture are whole steps along the voxel axes, from its first pixel to its last. */
function along(map, size) {
  const rounded = map.map((row) => row.map((x) => Math.round(x)));
  const straight = [0, 1, 2].every((n) => column(rounded, n).reduce((sum, x) => sum + Math.abs(x), 0) === 1);
  const off = map.map((row, axis) => row.reduce(
    (sum, x, n) => sum + Math.abs(x - rounded[axis][n]) * (n < 3 ? size[n] : 1), 0));
  return straight && Math.max(...off) < NEAR;
}

/** How the voxels of `count` slices from s follow each other in memory; null where some of them lie outside. */
function lines(volume, map, [width, height], s, count) {
  const [nx, ny, nz] = volume.shape;
  const m = map.map((row) => row.map((x) => Math.round(x)));
  const index = (v) => v[0] + nx * (v[1] + ny * v[2]);
  const ends = [apply(m, [0, 0, s]), apply(m, [width - 1, height - 1, s + count - 1])];
  if (!ends.every(([i, j, k]) => i >= 0 && j >= 0 && k >= 0 && i < nx && j < ny && k < nz)) {
    return null;
  }
  const [across, row, slice] = [0, 1, 2].map((n) => index(column(m, n)));
  return { start: index(ends[0]), column: across, row, slice, count };
}

function readAlong(volume, map, size, s, out) {
  const at = lines(volume, map, size, s, 1);
  if (!at) {
    readNearest(volume, map, size, s, out);
    return;
  }
  const [width, height] = size;
  const { data } = volume;
  for (let r = 0, p = 0, row = at.start; r < height; r += 1, row += at.row) {
    for (let c = 0, from = row; c < width; c += 1, p += 1, from += at.column) {
      out[p] = data[from];
    }
  }
}

// Three loops that differ in a line: a call for each voxel would cost more than the reading.

function brightest(data, at, [width, height], out) {
  const end = at.slice * at.count;
  for (let r = 0, p = 0, row = at.start; r < height; r += 1, row += at.row) {
    for (let c = 0, from = row; c < width; c += 1, p += 1, from += at.column) {
      let best = data[from];
      for (let n = at.slice; n !== end; n += at.slice) {
        const value = data[from + n];
        best = value > best ? value : best;
      }
      out[p] = best;
    }
  }
}

function darkest(data, at, [width, height], out) {
  const end = at.slice * at.count;
  for (let r = 0, p = 0, row = at.start; r < height; r += 1, row += at.row) {
    for (let c = 0, from = row; c < width; c += 1, p += 1, from += at.column) {
      let best = data[from];
      for (let n = at.slice; n !== end; n += at.slice) {
        const value = data[from + n];
        best = value < best ? value : best;
      }
      out[p] = best;
    }
  }
}

function average(data, at, [width, height], out) {
  const end = at.slice * at.count;
  for (let r = 0, p = 0, row = at.start; r < height; r += 1, row += at.row) {
    for (let c = 0, from = row; c < width; c += 1, p += 1, from += at.column) {
      let sum = 0;
      for (let n = 0; n !== end; n += at.slice) {
        sum += data[from + n];
      }
      out[p] = sum / at.count;
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
