/** One slice of one series with its overlays, as an image as large as its grid. Does again only what has changed. */

import { multiply } from "./geometry.js";
import { BLACK, paint } from "./paint.js";
import { sampleSlice } from "./sample.js";

let serials = 0;
const serialOf = new WeakMap();

/** A number for an object, the same each time. */
export function serial(object) {
  if (!serialOf.has(object)) {
    serials += 1;
    serialOf.set(object, serials);
  }
  return serialOf.get(object);
}

/** What of a volume has arrived, as far as slice s of a grid needs it. */
function arrived(volume, grid, s, slab) {
  if (volume.complete) {
    return "all";
  }
  const [, , c] = multiply(volume.inverse, grid.toMm);
  const across = Math.abs(c[0]) < 1e-6 && Math.abs(c[1]) < 1e-6;
  const whole = across && !slab;
  return whole ? volume.has(Math.round(c[2] * s + c[3])) : Math.floor(volume.loaded * 12);
}

export class Picture {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.samples = new Map(); // slot -> { key, values }
    this.key = "";
  }

  /** Forget what is drawn: nothing of it can be seen again. */
  blank() {
    this.canvas.width = 0;
    this.canvas.height = 0;
    this.samples.clear();
    this.key = "";
    this.pixels = null;
  }

  resize(width, height) {
    if (this.pixels && this.canvas.width === width && this.canvas.height === height) {
      return;
    }
    this.blank();
    this.canvas.width = width;
    this.canvas.height = height;
    this.image = this.context.createImageData(width, height);
    this.pixels = new Uint32Array(this.image.data.buffer);
  }

  /** Values of slice s, kept until volume, grid, slice or what has arrived changes. */
  sample(slot, volume, grid, s, slab) {
    const key = [serial(volume), serial(grid), s, slab ? `${slab.mode}${slab.thick}` : "", arrived(volume, grid, s, slab)].join();
    const kept = this.samples.get(slot);
    if (kept && kept.key === key) {
      return kept;
    }
    const values = kept ? kept.values : new Float32Array(this.pixels.length);
    const nearest = volume.meta.unit === "mask";
    const made = { key, values: sampleSlice(volume, grid, s, values, { slab, nearest }) };
    this.samples.set(slot, made);
    return made;
  }

  /**
   * Draw. grid: of planeGrid. base: { sample(picture) -> { key, values }, lo, hi, colours }. layers: [{ volume,
   * threshold, lo, hi, colours, opacity }]. Returns true where pixels changed.
   */
  draw(grid, s, slab, base, layers) {
    this.resize(grid.size[0], grid.size[1]);
    const under = base.sample(this);
    const over = layers.map((layer, n) => ({ ...layer, sampled: this.sample(`overlay ${n}`, layer.volume, grid, s, slab) }));
    const key = [
      under.key, base.lo, base.hi, serial(base.colours),
      ...over.flatMap((o) => [o.sampled.key, o.threshold, o.lo, o.hi, o.opacity, serial(o.colours)]),
    ].join("|");
    if (key === this.key) {
      return false;
    }
    paint(under.values, base, over.map((o) => ({ ...o, values: o.sampled.values })), this.pixels);
    this.context.putImageData(this.image, 0, 0);
    this.key = key;
    return true;
  }

  /** Black, for what has not arrived. */
  clear() {
    if (this.pixels) {
      this.pixels.fill(BLACK);
      this.context.putImageData(this.image, 0, 0);
    }
    this.samples.clear();
    this.key = "";
  }
}
