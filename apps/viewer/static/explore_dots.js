/** Thousands of points as one image, pixel by pixel: many times faster than as many drawings on a canvas. No DOM. */

const GROUND = [7, 9, 11];

/**
 * RGBA bytes of width x height device pixels, opaque. places: { x, y } in CSS pixels; of: the mark of each row; looks:
 * [{ rgb, shape }] of marks; chosen: Set of rows, drawn last and full; faint: opacity of the others; radius in CSS pixels.
 */
export function raster({ width, height, ratio, places, of, looks, chosen, faint, radius }) {
  const data = new Uint8ClampedArray(width * height * 4);
  const words = new Uint32Array(data.buffer);
  words.fill(0xff000000 | (GROUND[2] << 16) | (GROUND[1] << 8) | GROUND[0]);
  const masks = Object.fromEntries([...new Set(looks.map((one) => one.shape))].map((shape) => [shape, maskOf(shape, radius * ratio)]));
  const put = (n, opacity) => {
    const look = looks[of[n]];
    stamp(data, width, height, Math.round(places.x[n] * ratio), Math.round(places.y[n] * ratio), masks[look.shape], look.rgb, opacity);
  };
  for (let n = 0; n < of.length; n += 1) {
    if (places.x[n] === places.x[n] && !chosen.has(n)) {
      put(n, faint);
    }
  }
  for (const n of chosen) {
    if (places.x[n] === places.x[n]) {
      put(n, 1);
    }
  }
  return data;
}

/** How much of each pixel about a point its shape covers: { reach, cover: (2 reach + 1)^2 shares }. */
export function maskOf(shape, radius) {
  const reach = Math.ceil(radius);
  const side = 2 * reach + 1;
  const cover = new Float32Array(side * side);
  const soft = (depth) => Math.min(Math.max(depth + 0.5, 0), 1);
  for (let p = 0; p < cover.length; p += 1) {
    const [dx, dy] = [(p % side) - reach, Math.floor(p / side) - reach];
    const far = Math.hypot(dx, dy);
    cover[p] = shape === "square" ? soft(0.85 * radius - Math.max(Math.abs(dx), Math.abs(dy)))
      : shape === "ring" ? soft(radius - far) * soft(far - radius + 1.4) : soft(radius - far);
  }
  return { reach, side, cover };
}

function stamp(data, width, height, x, y, { reach, side, cover }, [r, g, b], opacity) {
  if (x < -reach || y < -reach || x >= width + reach || y >= height + reach) {
    return;
  }
  for (let p = 0; p < cover.length; p += 1) {
    const px = x + (p % side) - reach;
    const py = y + ((p / side) | 0) - reach;
    const share = cover[p] * opacity;
    if (share > 0 && px >= 0 && py >= 0 && px < width && py < height) {
      const at = (py * width + px) * 4;
      data[at] += (r - data[at]) * share;
      data[at + 1] += (g - data[at + 1]) * share;
      data[at + 2] += (b - data[at + 2]) * share;
    }
  }
}

/** [r, g, b] of "#rrggbb" or "rgb(r, g, b)". */
export function rgbOf(colour) {
  return colour[0] === "#" ? [1, 3, 5].map((n) => parseInt(colour.slice(n, n + 2), 16)) : colour.match(/\d+/g).map(Number);
}
