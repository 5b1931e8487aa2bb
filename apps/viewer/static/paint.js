/** Values to pixels: window, colour maps, overlays, all in one pass. No DOM. */

const STOPS = {
  gray: [[0, 0, 0], [255, 255, 255]],
  hot: [[40, 0, 0], [230, 20, 0], [255, 150, 0], [255, 235, 60]], // no white: it would be lost on a bright lesion
  cool: [[0, 40, 90], [0, 130, 220], [60, 210, 255], [220, 250, 255]],
  viridis: [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]],
  red: [[255, 60, 60], [255, 60, 60]],
  green: [[60, 220, 120], [60, 220, 120]],
  difference: [[40, 120, 255], [15, 35, 80], [12, 12, 14], [90, 40, 10], [255, 140, 30]],
  heat: [[0, 0, 0], [90, 0, 20], [230, 40, 0], [255, 160, 0], [255, 240, 90], [255, 255, 255]],
};

/** Colour maps that an overlay may take. */
export const OVERLAY_MAPS = ["hot", "cool", "viridis", "red", "green"];
export const BLACK = 0xff000000; // opaque, in the little-endian ABGR order of a canvas' Uint32 view

const made = new Map();

/** 256 colours as Uint32 ABGR; `inverted` runs them backwards. Throws a RangeError for an unknown name. */
export function palette(name, inverted = false) {
  if (!(name in STOPS)) {
    throw new RangeError(`the colour map "${name}" is unknown`);
  }
  const key = `${name}${inverted}`;
  if (!made.has(key)) {
    made.set(key, Uint32Array.from({ length: 256 }, (_, n) => colour(STOPS[name], (inverted ? 255 - n : n) / 255)));
  }
  return made.get(key);
}

function colour(stops, t) {
  const at = t * (stops.length - 1);
  const n = Math.min(Math.floor(at), stops.length - 2);
  const [r, g, b] = stops[n].map((low, part) => Math.round(low + (stops[n + 1][part] - low) * (at - n)));
  return ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
}

/** CSS gradient of a colour map, for legends. */
export function gradient(name, direction = "to right") {
  return `linear-gradient(${direction}, ${STOPS[name].map((c) => `rgb(${c.join(",")})`).join(", ")})`;
}

/**
 * Fill `out` (Uint32Array, ABGR) from `values` (Float32Array; NaN is black).
 *
 * window: { lo, hi, colours: Uint32Array(256) }: colour round(255 * (value - lo) / (hi - lo)), held within 0 .. 255.
 * layers, bottom first: { values, threshold, lo, hi, colours, opacity };
 * a layer colours the pixels whose value is above its threshold, as an unusual area is defined.
 */
export function paint(values, { lo, hi, colours }, layers, out) {
  const scale = 255 / Math.max(hi - lo, 1e-12);
  for (let p = 0; p < out.length; p += 1) {
    const at = (values[p] - lo) * scale + 0.5;
    out[p] = at >= 256 ? colours[255] : at >= 1 ? colours[at | 0] : at === at ? colours[0] : BLACK;
  }
  for (const layer of layers) {
    blend(layer, out);
  }
}

function blend({ values, threshold, lo, hi, colours, opacity }, out) {
  const scale = 255 / Math.max(hi - lo, 1e-12);
  const share = Math.round(opacity * 256);
  const rest = 256 - share;
  for (let p = 0; p < out.length; p += 1) {
    const value = values[p];
    if (value > threshold) {
      const at = (value - lo) * scale + 0.5;
      const top = colours[at >= 255 ? 255 : at >= 1 ? at | 0 : 0];
      const low = out[p];
      const r = ((low & 255) * rest + (top & 255) * share) >> 8;
      const g = (((low >> 8) & 255) * rest + ((top >> 8) & 255) * share) >> 8;
      const b = (((low >> 16) & 255) * rest + ((top >> 16) & 255) * share) >> 8;
      out[p] = BLACK | (b << 16) | (g << 8) | r;
    }
  }
}
