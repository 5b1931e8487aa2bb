/** A smaller copy of a volume for the 3-D picture, and as a NIfTI file in memory. No DOM. */

import { column } from "./geometry.js";

const HEADER = 352; // bytes: NIfTI-1 header and an empty extension
const FLOAT32 = 16; // NIfTI's number for the type
const MILLIMETRES = 2;
const SCANNER = 1;
const SHARE = 8; // ms of work at a time: a key press in between is answered in time

/** How many voxels along each axis become one, so that no axis is longer than `limit`. */
export function factorsOf(shape, limit) {
  return shape.map((n) => Math.max(1, Math.ceil(n / limit)));
}

/**
 * Blocks of voxels become one: their mean, or their highest value, for "max". A block that the edge cuts counts the
 * voxels it has.
 *
 * data: typed array, X fastest; affine: three rows, voxel -> mm. A generator that pauses after each slice of blocks, so
 * that the page stays alive; its result is { data: Float32Array, shape, affine } with voxel centres where they belong.
 */
export function* reducing({ data, shape, affine }, limit, how) {
  const f = factorsOf(shape, limit);
  const small = shape.map((n, axis) => Math.ceil(n / f[axis]));
  const out = new Float32Array(small[0] * small[1] * small[2]);
  for (let z = 0; z < small[2]; z += 1) {
    slab(data, shape, f, small, z, how === "max", out);
    yield z;
  }
  const centre = f.map((n) => (n - 1) / 2);
  const moved = affine.map((row) => [0, 1, 2].map((n) => row[n] * f[n]).concat(
    row[3] + row[0] * centre[0] + row[1] * centre[1] + row[2] * centre[2]));
  return { data: out, shape: small, affine: moved };
}

/** One slice of blocks. */
function slab(data, [nx, ny, nz], [fx, fy, fz], [sx, sy], z, highest, out) {
  const start = z * sx * sy;
  const count = new Uint32Array(sx * sy);
  const sum = new Float64Array(sx * sy).fill(highest ? -Infinity : 0);
  for (let k = z * fz; k < Math.min(nz, (z + 1) * fz); k += 1) {
    for (let j = 0; j < ny; j += 1) {
      let from = nx * (j + ny * k);
      const row = sx * Math.floor(j / fy);
      for (let i = 0; i < nx; i += 1, from += 1) {
        const block = row + Math.floor(i / fx);
        if (highest) {
          sum[block] = data[from] > sum[block] ? data[from] : sum[block];
        } else {
          sum[block] += data[from];
          count[block] += 1;
        }
      }
    }
  }
  for (let block = 0; block < sum.length; block += 1) {
    out[start + block] = highest ? sum[block] : sum[block] / count[block];
  }
}

/** The whole of it at once. */
export function reduce(volume, limit, how) {
  return whole(reducing(volume, limit, how));
}

/** The same, letting the page draw in between; null where `stopped()` says that nobody waits any more. */
export function reduceGently(volume, limit, how, stopped) {
  return gently(reducing(volume, limit, how), stopped);
}

/** The result of a generator. */
export function whole(steps) {
  for (;;) {
    const { done, value } = steps.next();
    if (done) {
      return value;
    }
  }
}

/** The result of a generator that is run a little at a time, null where `stopped()` says that nobody waits any more. */
export async function gently(steps, stopped) {
  let since = performance.now();
  for (;;) {
    const { done, value } = steps.next();
    if (done) {
      return value;
    }
    if (performance.now() - since > SHARE) {
      await new Promise((go) => setTimeout(go));
      since = performance.now();
      if (stopped()) {
        return null;
      }
    }
  }
}

/** A NIfTI-1 file (ArrayBuffer) of float32 voxels. affine: three rows, voxel -> mm in RAS. */
export function nifti({ data, shape, affine }) {
  const buffer = new ArrayBuffer(HEADER + 4 * data.length);
  const view = new DataView(buffer);
  const word = (at, value) => view.setInt16(at, value, true);
  const real = (at, value) => view.setFloat32(at, value, true);
  view.setInt32(0, 348, true);
  [3, ...shape, 1, 1, 1, 1].forEach((n, place) => word(40 + 2 * place, n));
  word(70, FLOAT32);
  word(72, 32);
  const spacing = [0, 1, 2].map((n) => Math.hypot(...column(affine, n)));
  [1, ...spacing, 0, 0, 0, 0].forEach((mm, place) => real(76 + 4 * place, mm));
  real(108, HEADER);
  real(112, 1); // slope
  view.setUint8(123, MILLIMETRES);
  word(254, SCANNER); // the s-form holds
  affine.flat().forEach((value, place) => real(280 + 4 * place, value));
  new Uint8Array(buffer).set([0x6e, 0x2b, 0x31, 0], 344); // "n+1"
  new Float32Array(buffer, HEADER).set(data);
  return buffer;
}
