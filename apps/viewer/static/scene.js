/** What is shown and how: series, overlays, windows, slab, planes. No DOM: panes ask it, keys and tools change it. */

import { apply, column, length, nativePlane, parallel, planeGrid, PLANE_NAMES } from "./geometry.js";
import { palette } from "./paint.js";
import { SLABS } from "./sample.js";
import { firstWindow, windowGroups } from "./windows.js";

const SLAB_ORDER = [null, "max", "mean", "min"];

export class Scene {
  constructor() {
    this.volumes = [];
    this.overlays = []; // { volume, about, on, colormap, opacity, threshold, top, visible, title }
    this.crosshair = [0, 0, 0]; // RAS mm
    this.plane = "axial";
    this.shown = 0; // the series in panes that show one
    this.pair = [0, 1];
    this.inverted = false;
    this.smooth = true;
    this.neurological = false;
    this.space = "LPS";
    this.crosshairShown = null; // until the first series is known
    this.overlaysHidden = false;
    this.slab = null; // "max", "mean", "min"
    this.slabMm = 10;
    this.differenceGain = 1;
    this.blankState();
  }

  /** Forget what belongs to the series shown so far. */
  blankState() {
    this.windows = new Map(); // window group -> { lo, hi }
    this.grids = new Map();
    this.views = Object.fromEntries(PLANE_NAMES.map((plane) => [plane, { zoom: 1, centre: null }]));
  }

  /** The series that everything else is laid on: the first that has arrived. */
  get reference() {
    return Math.max(0, this.volumes.findIndex((volume) => volume.meta));
  }

  get ready() {
    return this.volumes.some((volume) => volume.data);
  }

  /** The plane the first series was taken in. */
  get native() {
    const volume = this.volumes[this.reference];
    return volume?.meta ? nativePlane(volume.meta.affine, volume.shape) : "axial";
  }

  /** True where there is one slice only: a picture, not a volume. */
  get flat() {
    return this.volumes.length > 0 && this.volumes.every((volume) => volume.meta && volume.shape.includes(1));
  }

  own(series, plane) {
    const volume = this.volumes[series];
    const key = `${volume.id} ${plane} ${this.neurological}`;
    if (!this.grids.has(key)) {
      this.grids.set(key, planeGrid(volume.meta.affine, volume.shape, plane, this.neurological));
    }
    return this.grids.get(key);
  }

  /** The grid a series is drawn on: its own where that runs along the first series' plane, else the first's. */
  gridOf(series, plane) {
    return this.own(this.resampled(series, plane) ? this.reference : series, plane);
  }

  /** True where pixels of a series are interpolated to match the first. */
  resampled(series, plane) {
    const reference = this.reference;
    if (series === reference || !this.volumes[series]?.meta) {
      return series !== reference;
    }
    return !parallel(this.own(reference, plane), this.own(series, plane));
  }

  /** Series of the same window group are windowed together. */
  groupOf(series) {
    return windowGroups(this.volumes.map(({ about, meta }) => ({ role: about.role, meta })))[series];
  }

  windowOf(series) {
    const group = this.groupOf(series);
    const leader = this.volumes.findIndex((volume, n) => volume.meta && this.groupOf(n) === group);
    // Whichever of a group arrives first, its window is the one of its first series, until a reader changes it.
    if (!this.windows.has(group) || this.windows.get(group).leader > leader) {
      this.windows.set(group, { ...firstWindow(this.volumes[leader].meta), leader });
    }
    return this.windows.get(group);
  }

  setWindow(series, { lo, hi }) {
    this.windows.set(this.groupOf(series), { lo, hi });
    this.invalidate();
  }

  coloursOf(series) {
    return palette(this.volumes[series].about.role === "anomaly" ? "heat" : "gray", this.inverted);
  }

  /** Overlays of a series that can be drawn now, as Picture.draw takes them. */
  layersOn(series) {
    if (this.overlaysHidden) {
      return [];
    }
    return this.overlays.filter((o) => o.on === series && o.visible && o.volume.data && o.opacity > 0).map((o) => ({
      volume: o.volume, opacity: o.opacity, colours: palette(o.colormap), ...this.overlayRange(o),
    }));
  }

  /** Lowest value drawn, and the values of the first and last colour of an overlay. */
  overlayRange({ threshold, top, volume: { meta } }) {
    const lowest = meta.unit === "mask" ? 0.5 : meta.range[0];
    const lo = threshold ?? lowest;
    const hi = top ?? Math.max(meta.extent[1], lo + 1e-6);
    return { threshold: lo, lo, hi: Math.max(hi, lo + 1e-6) };
  }

  setOverlay(n, change) {
    Object.assign(this.overlays[n], change);
    this.invalidate();
    this.emit("overlay", n);
  }

  /** null, or { mode, thick } with the slices of this grid that make up the slab; one slice is no slab. */
  slabFor(grid) {
    const thick = Math.max(1, Math.round(this.slabMm / length(column(grid.toMm, 2))));
    return this.slab && Math.min(thick, grid.size[2]) > 1 ? { mode: this.slab, thick: Math.min(thick, grid.size[2]) } : null;
  }

  /** "MIP 9.1 mm (13 slices)". */
  slabWords(grid) {
    const { mode, thick } = this.slabFor(grid);
    return `${SLABS[mode].label} ${(thick * length(column(grid.toMm, 2))).toFixed(1)} mm (${thick} slices)`;
  }

  /** Off, brightest, average, darkest; never thinner than two slices of the series' own plane. */
  cycleSlab() {
    this.slab = SLAB_ORDER[(SLAB_ORDER.indexOf(this.slab) + 1) % SLAB_ORDER.length];
    if (this.slab && this.ready) {
      const step = length(column(this.gridOf(this.reference, this.native).toMm, 2));
      this.slabMm = Math.max(this.slabMm, 3 * step);
    }
    this.invalidate();
  }

  thicken(factor) {
    this.slabMm = Math.min(Math.max(this.slabMm * factor, 1), 400);
    this.invalidate();
  }

  /** Move the crosshair to RAS mm. */
  moveTo(mm) {
    this.crosshair = [...mm];
    this.moved = true;
    this.invalidate();
    this.emit("crosshair", this.crosshair);
  }

  /** Slice index of a plane under the crosshair. */
  sliceOf(plane, series = this.reference) {
    const grid = this.gridOf(series, plane);
    return Math.min(Math.max(Math.round(apply(grid.toPicture, this.crosshair)[2]), 0), grid.size[2] - 1);
  }

  /** Go to a slice (0-based, held inside); the place within the plane stays. */
  goTo(plane, slice, series = this.reference) {
    const grid = this.gridOf(series, plane);
    const [c, r] = apply(grid.toPicture, this.crosshair);
    this.moveTo(apply(grid.toMm, [c, r, Math.min(Math.max(slice, 0), grid.size[2] - 1)]));
  }

  /** Go `count` slices towards the head, front or right; negative the other way. */
  step(plane, count, series = this.reference) {
    if (this.ready) {
      this.goTo(plane, this.sliceOf(plane, series) + count * this.gridOf(series, plane).towards, series);
    }
  }

  /** The first or the last slice, seen from the feet, the back or the left. */
  end(plane, last, series = this.reference) {
    const grid = this.gridOf(series, plane);
    this.goTo(plane, last === (grid.towards > 0) ? grid.size[2] - 1 : 0, series);
  }

  /** Everything as it was when the series was opened, but the place. */
  reset() {
    this.views = Object.fromEntries(PLANE_NAMES.map((plane) => [plane, { zoom: 1, centre: null }]));
    this.windows = new Map();
    this.inverted = false;
    this.slab = null;
    this.differenceGain = 1;
    this.invalidate();
  }

  /** True where the first series has a voxel at mm. */
  covers(mm) {
    const { inverse, shape } = this.volumes[this.reference];
    return apply(inverse, mm).every((x, n) => x > -0.5 && x < shape[n] - 0.5);
  }

  /** The middle voxel of the first series, or a slice of its own plane (1-based). */
  startAt(slice = null) {
    const volume = this.volumes[this.reference];
    const centre = volume.shape.map((n) => Math.floor((n - 1) / 2));
    const grid = this.gridOf(this.reference, this.native);
    if (slice !== null && slice >= 1 && slice <= grid.size[2]) {
      centre[grid.through] = slice - 1;
    }
    this.crosshair = volume.voxelToWorld(centre);
  }
}
