/** A strip along the slices: where the map is high. A click goes there; N and P go from one unusual area to the next. */

import { follow, mapOf, style, thresholdOf } from "./anomaly.js";
import { el, say } from "./dom.js";
import { apply, nearestAxes, PLANES } from "./geometry.js";
import { palette } from "./paint.js";
import { countsAbove, nextStop, peaks, profiling, voxelOf } from "./profile.js";
import { gently } from "./reduce.js";

const HEIGHT = 40; // CSS pixels
const TICK = 5;

/** extra.strip: true where it is wanted; extra.threshold.points and extra.findings as of their own parts. */
export function attach(viewer, extra) {
  let part = null;
  follow(viewer, extra, (now) => {
    if (now.strip && !part) {
      part = build(viewer);
    }
    part?.show(now);
  });
}

class Strip {
  constructor(viewer) {
    this.viewer = viewer;
    this.extra = {};
    this.profile = null; // of this.volume, once it has been run through
    this.key = "";
    this.canvas = el("canvas", { title: "Height: how much of the slice is unusual. Colour: how high the map goes. Click to go there." });
    this.words = el("span", { class: "quiet" });
    const go = (label, title, step) => el("button", { type: "button", title, "aria-label": title, onclick: (event) => {
      this.jump(step);
      event.currentTarget.blur();
    } }, label);
    this.element = el(
      "div", { class: "strip" }, go("◂ P", "Unusual area before (p)", -1), this.canvas, go("N ▸", "Next unusual area along the slices (n)", 1),
      this.words,
    );
    style(viewer);
    viewer.bottom.append(this.element);
    this.canvas.addEventListener("pointerdown", (event) => this.drag(event));
    this.canvas.addEventListener("pointermove", (event) => event.buttons && this.drag(event));
    this.observer = new ResizeObserver(() => this.draw());
    this.observer.observe(this.canvas);
  }

  /** The map's voxel axis along the native plane of the first series, and whether it can be shown. */
  get axis() {
    const volume = mapOf(this.viewer)?.overlay.volume;
    const { native } = this.viewer;
    return volume?.meta ? nearestAxes(volume.meta.affine)[PLANES[native].axis] : 0;
  }

  /** Slice of the first series (0-based, fractional) that lies at slice k of the map, and back. */
  toSeries(k) {
    const { volume } = mapOf(this.viewer).overlay;
    const ijk = volume.worldToVoxel(this.viewer.crosshair);
    ijk[this.axis] = k;
    return apply(this.grid.toPicture, volume.voxelToWorld(ijk))[2];
  }

  get grid() {
    return this.viewer.gridOf(this.viewer.reference, this.viewer.native);
  }

  /** Read the map once it is there; nothing while it is on its way. */
  read() {
    const volume = mapOf(this.viewer)?.overlay.volume;
    if (!volume?.complete || !this.viewer.volumes[this.viewer.reference]?.meta) {
      Object.assign(this, { profile: null, key: "" });
    } else {
      const floor = this.lowest(volume);
      const key = `${volume.id} ${this.axis} ${floor}`;
      if (this.key !== key) {
        Object.assign(this, { volume, floor, key, counted: null, profile: null });
        this.work(profiling(volume.data, volume.shape, this.axis, floor), key);
      }
    }
    this.element.hidden = !this.extra.strip || !this.profile || this.profile.top.length < 2;
  }

  /** Run through the map without holding the page up: a large one takes a second. */
  async work(steps, key) {
    const made = await gently(steps, () => this.key !== key || this.viewer.disposed);
    if (made && this.key === key && !this.viewer.disposed) {
      this.profile = made;
      this.draw();
    }
  }

  /** The lowest threshold that the slider knows: voxels below it never count. */
  lowest(volume) {
    const { points = [], own = null } = this.extra.threshold ?? {};
    return Math.max(points.length > 1 ? points[0].threshold : (own ?? volume.meta.range[0]) / 2, 0);
  }

  /** Voxels above the threshold, slice by slice. */
  counts() {
    const now = Math.max(thresholdOf(this.viewer), this.floor);
    if (this.counted !== now) {
      this.counted = now;
      this.above = countsAbove(this.profile, now);
    }
    return this.above;
  }

  /** Unusual areas to go through: those of the list, else where the map peaks along the slices. */
  stops() {
    const now = thresholdOf(this.viewer);
    const slice = (mm) => Math.round(apply(this.grid.toPicture, mm)[2]);
    const listed = (this.extra.findings ?? []).filter((finding) => finding.peak > now);
    if (listed.length) {
      return listed.map(({ mm, number }) => ({ mm, slice: slice(mm), number }));
    }
    return peaks(this.profile.top, now).map((k) => {
      const mm = this.volume.voxelToWorld(voxelOf(this.profile.at[k], this.volume.shape));
      return { mm, slice: slice(mm) };
    });
  }

  /** Go to the next stop along the slices, or the one before. */
  jump(step) {
    this.read();
    if (!this.profile) {
      return;
    }
    const { viewer } = this;
    const stops = this.stops();
    const stop = nextStop(stops, { slice: viewer.sliceOf(viewer.native), mm: viewer.crosshair }, step);
    if (stop) {
      viewer.moveTo(stop.mm);
      viewer.status("");
    } else {
      viewer.status("No unusual area above this threshold.");
    }
  }

  drag(event) {
    const box = this.canvas.getBoundingClientRect();
    const count = this.grid.size[2];
    const s = Math.floor(((event.clientX - box.left) / box.width) * count);
    this.viewer.goTo(this.viewer.native, s);
  }

  draw() {
    this.read();
    if (this.element.hidden || !this.canvas.clientWidth) {
      return;
    }
    const ratio = window.devicePixelRatio || 1;
    const [width, count] = [this.canvas.clientWidth, this.grid.size[2]];
    const key = `${width} ${ratio}`;
    if (this.sized !== key) {
      this.canvas.width = width * ratio;
      this.canvas.height = HEIGHT * ratio;
      this.sized = key;
    }
    const g = this.canvas.getContext("2d");
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.fillStyle = "#07090b";
    g.fillRect(0, 0, width, HEIGHT);
    this.bars(g, width / count);
    this.ticks(g, width / count);
    this.here(g, width / count);
  }

  bars(g, step) {
    const counts = this.counts();
    const most = Math.max(...counts, 1);
    const { lo, hi } = this.viewer.overlayRange(mapOf(this.viewer).overlay);
    const colours = palette("hot");
    for (let k = 0; k < counts.length; k += 1) {
      if (!counts[k]) {
        continue;
      }
      const s = this.toSeries(k);
      const share = Math.min(1, Math.max(0, (this.profile.top[k] - lo) / (hi - lo)));
      const c = colours[Math.round(share * 255)];
      g.fillStyle = `rgb(${c & 255}, ${(c >> 8) & 255}, ${(c >> 16) & 255})`;
      // The root keeps a single voxel in sight beside a large lesion.
      const tall = Math.max(2, (HEIGHT - TICK - 2) * Math.sqrt(counts[k] / most));
      g.fillRect(s * step + 0.5, HEIGHT - tall, Math.max(1, step - 1), tall);
    }
  }

  ticks(g, step) {
    g.fillStyle = "#ffb454";
    for (const { slice } of this.stops()) {
      g.fillRect((slice + 0.5) * step - 1, 0, 2, TICK);
    }
  }

  here(g, step) {
    const s = this.viewer.sliceOf(this.viewer.native);
    g.strokeStyle = "#4dd0a6";
    g.lineWidth = 1.5;
    g.strokeRect(s * step, 0.75, Math.max(step, 2), HEIGHT - 1.5);
    const counts = this.counts();
    const k = counts.findIndex((_, n) => Math.round(this.toSeries(n)) === s);
    const voxels = k < 0 ? 0 : counts[k];
    say(this.words, `slice ${s + 1}: ${voxels ? `${voxels} unusual ${voxels === 1 ? "voxel" : "voxels"}` : "nothing unusual"}`);
  }

  show(extra) {
    this.extra = extra;
    this.draw();
  }
}

function build(viewer) {
  const strip = new Strip(viewer);
  const group = "Anomalies";
  viewer.keys.add({ key: "n", help: "next unusual area along the slices", run: () => strip.jump(1), group });
  viewer.keys.add({ key: "p", help: "unusual area before", run: () => strip.jump(-1), group });
  let waiting = false;
  const soon = () => {
    waiting ||= Boolean(requestAnimationFrame(() => {
      waiting = false;
      strip.draw();
    }));
  };
  ["loaded", "overlay", "crosshair", "layout"].forEach((event) => viewer.on(event, soon));
  viewer.on("dispose", () => strip.observer.disconnect());
  return strip;
}
