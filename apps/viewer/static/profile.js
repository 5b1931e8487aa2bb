/** A map seen along its slices: where it is high, how much of each slice lies above a threshold. No DOM. */

import { whole } from "./reduce.js";

/**
 * The highest voxel of every slice, and all voxels above `floor`, of an array with X fastest.
 *
 * data: typed array of shape [X, Y, Z]; axis: 0, 1 or 2, the one that slices are counted along. Returns { top: highest
 * value of each slice, at: its flat index, hot: { slice, value } of the voxels above floor }.
 */
export function profileOf(data, shape, axis, floor) {
  return whole(profiling(data, shape, axis, floor));
}

/** The same as a generator that pauses after each slice along Z. */
export function* profiling(data, shape, axis, floor) {
  const [nx, ny, nz] = shape;
  const top = new Float32Array(shape[axis]).fill(-Infinity);
  const at = new Float64Array(shape[axis]);
  const hot = { slice: [], value: [] };
  let flat = 0;
  for (let k = 0; k < nz; k += 1) {
    for (let j = 0; j < ny; j += 1) {
      for (let i = 0; i < nx; i += 1, flat += 1) {
        const value = data[flat];
        const slice = axis === 2 ? k : axis === 1 ? j : i;
        if (value > top[slice]) {
          top[slice] = value;
          at[slice] = flat;
        }
        if (value > floor) {
          hot.slice.push(slice);
          hot.value.push(value);
        }
      }
    }
    yield k;
  }
  return { top, at, hot: { slice: Uint32Array.from(hot.slice), value: Float32Array.from(hot.value) } };
}

/** How many voxels of each slice lie above `threshold`, which must not be lower than the profile's floor. */
export function countsAbove({ top, hot }, threshold) {
  const counts = new Uint32Array(top.length);
  const limit = Math.fround(threshold);
  for (let n = 0; n < hot.value.length; n += 1) {
    counts[hot.slice[n]] += hot.value[n] > limit ? 1 : 0;
  }
  return counts;
}

/** The voxel [i, j, k] of a flat index. */
export function voxelOf(flat, [nx, ny]) {
  return [flat % nx, Math.floor(flat / nx) % ny, Math.floor(flat / (nx * ny))];
}

/** Slices where the map peaks along the axis above `threshold`: local maxima of `top`, a plateau counted once. */
export function peaks(top, threshold) {
  const found = [];
  let n = 0;
  while (n < top.length) {
    let end = n;
    while (end + 1 < top.length && top[end + 1] === top[n]) {
      end += 1;
    }
    const before = n === 0 || top[n - 1] < top[n];
    const after = end === top.length - 1 || top[end + 1] < top[n];
    if (top[n] > threshold && before && after) {
      found.push((n + end) >> 1);
    }
    n = end + 1;
  }
  return found;
}

/**
 * The next stop from where the reader is, in the order of slices, going round at the end.
 *
 * stops: [{ slice, mm, ... }] in any order; here: { slice, mm } of the crosshair; step: +1 or -1. Among stops on one
 * slice the order is theirs. A stop is passed when the crosshair stands on it (within half a millimetre).
 */
export function nextStop(stops, here, step) {
  if (!stops.length) {
    return null;
  }
  const order = stops.map((stop, n) => ({ stop, n })).sort((a, b) => a.stop.slice - b.stop.slice || a.n - b.n).map(({ stop }) => stop);
  const on = order.findIndex((stop) => near(stop.mm, here.mm));
  if (on >= 0) {
    return order[(on + step + order.length) % order.length];
  }
  const ahead = step > 0 ? order.find((stop) => stop.slice >= here.slice) : order.findLast((stop) => stop.slice <= here.slice);
  return ahead ?? order[step > 0 ? 0 : order.length - 1];
}

function near(a, b) {
  return Math.hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]) < 0.5;
}
