/** A painted mask in the panes: a tint and an outline on a canvas of its own. Does again only what a stroke has touched. */

import { el, svg } from "./dom.js";
import { apply } from "./geometry.js";
import { serial } from "./picture.js";
import { toPane } from "./view.js";

const TINT = [255, 30, 150, 80]; // RGBA
const LINES = [["rgba(0, 0, 0, .65)", 3], ["#ff6bc0", 1.4]]; // a dark rim, so that it is seen on white too

export class BrushLayers {
  constructor(viewer) {
    this.viewer = viewer;
    this.layers = new WeakMap(); // pane -> what is drawn on it
  }

  /** The mask has changed within a box of voxels, [lowest, highest]; null for all of it. */
  touch(box = null) {
    for (const pane of this.viewer.panes) {
      const layer = this.layers.get(pane);
      const through = layer?.grid?.through;
      if (layer && (!box || through === undefined || (box[0][through] <= layer.slice && layer.slice <= box[1][through]))) {
        layer.key = "";
      }
    }
  }

  /** Draw `mask`, painted on a volume, on every pane that shows its voxels in a plane of their own; null: wipe it. */
  draw(mask, volume) {
    const { viewer } = this;
    for (const pane of viewer.panes) {
      const shown = mask?.box && volume && !viewer.overlaysHidden && pane.drawn && lies(viewer, pane, volume)
        && mask.shape.every((n, axis) => n === volume.shape[axis]);
      if (shown) {
        this.show(pane, mask);
      } else if (this.layers.get(pane)?.filled) {
        wipe(this.layers.get(pane));
      }
    }
  }

  show(pane, mask) {
    const layer = this.of(pane);
    const { grid, slice } = pane;
    const key = `${serial(mask)} ${serial(grid)} ${slice}`;
    const fresh = layer.key !== key;
    if (fresh) {
      Object.assign(layer, { key, grid, slice, area: areaOf(mask, grid, slice) });
    }
    const lie = pane.lie();
    const placed = JSON.stringify([lie, pane.canvas.width, pane.canvas.height]);
    if (fresh || placed !== layer.placed) {
      wipe(layer);
      layer.placed = placed;
      paint(layer, pane, lie);
    }
  }

  of(pane) {
    if (!this.layers.has(pane)) {
      const canvas = el("canvas", { class: "painted" });
      pane.canvas.after(canvas);
      const context = canvas.getContext("2d", { willReadFrequently: true }); // drawn by the processor: no upload
      this.layers.set(pane, { canvas, context, key: "", placed: "", filled: false });
    }
    return this.layers.get(pane);
  }

  /** The brush's edge around a point of a pane, or none (null). */
  edge(pane, x, y, radius, erases) {
    this.ring ??= svg("circle", { class: "brush" });
    if (!pane) {
      this.ring.remove();
      return;
    }
    if (this.ring.parentNode !== pane.svg) {
      pane.svg.append(this.ring);
    }
    const at = { cx: x.toFixed(1), cy: y.toFixed(1), r: Math.max(radius * pane.lie().scale, 2).toFixed(1), class: erases ? "brush erases" : "brush" };
    Object.entries(at).forEach(([name, value]) => this.ring.setAttribute(name, value));
  }
}

/** True where a pane shows the voxels of a volume, or of another one on the same grid, not resampled. */
export function lies(viewer, pane, volume) {
  return pane.mode === "plain" && sameGrid(pane.volume, volume) && !viewer.resampled(pane.series, pane.plane);
}

/** True where two volumes have the same voxels in space: a mask of one is a mask of the other. */
export function sameGrid(one, other) {
  const same = (a, b) => a.every((row, n) => row.every((x, m) => Math.abs(x - b[n][m]) < 1e-3));
  return one === other || Boolean(one?.meta && other?.meta)
    && one.shape.every((n, axis) => n === other.shape[axis]) && same(one.meta.affine, other.meta.affine);
}

function wipe(layer) {
  const { canvas, context } = layer;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  canvas.hidden = true; // with nothing drawn after it, Chromium may go on showing what was wiped
  Object.assign(layer, { filled: false, placed: "" });
}

/** What of the mask lies in a slice: { image, path, at: [c, r] } in pixels of the picture; null for nothing. */
export function areaOf(mask, grid, slice) {
  const ends = mask.box.map((voxel) => pixelOf(grid, voxel));
  const low = [0, 1].map((n) => Math.min(ends[0][n], ends[1][n]));
  const size = [0, 1].map((n) => Math.abs(ends[0][n] - ends[1][n]) + 1);
  if (slice < mask.box[0][grid.through] || slice > mask.box[1][grid.through]) {
    return null;
  }
  const inside = cut(mask, grid, slice, low, size);
  return inside && { size, at: low, inside, path: outline(inside, size) };
}

/** [c, r] of a voxel: the grid runs along the voxels' axes. */
function pixelOf({ toVoxel }, voxel) {
  return [0, 1].map((role) => {
    const n = toVoxel.findIndex((row) => row[role] !== 0);
    return (voxel[n] - toVoxel[n][3]) * toVoxel[n][role];
  });
}

/** The mask's bytes within a rectangle of a slice, with an empty pixel all around; null where all are 0. */
function cut(mask, grid, slice, [c0, r0], [width, height]) {
  const start = mask.index(apply(grid.toVoxel, [c0, r0, slice]));
  const step = [[1, 0, 0], [0, 1, 0]].map(([c, r]) => mask.index(apply(grid.toVoxel, [c0 + c, r0 + r, slice])) - start);
  const row = width + 2;
  const out = new Uint8Array(row * (height + 2));
  let any = 0;
  for (let r = 0; r < height; r += 1) {
    for (let c = 0, from = start + r * step[1], to = row * (r + 1) + 1; c < width; c += 1, from += step[0], to += 1) {
      any |= out[to] = mask.data[from];
    }
  }
  return any ? out : null;
}

/** The edges between painted and other pixels, as lines [x1, y1, x2, y2]; neighbours on a line are one. */
export function edges(inside, [width, height]) {
  const row = width + 2;
  const found = [];
  const follow = (count, other, step, at, line) => {
    for (let b = 0; b <= other; b += 1) {
      let from = -1;
      for (let a = 0; a <= count; a += 1) {
        const here = at(a, b);
        const edge = a < count && inside[here] !== inside[here - step];
        if (edge && from < 0) {
          from = a;
        } else if (!edge && from >= 0) {
          found.push(line(from, a, b));
          from = -1;
        }
      }
    }
  };
  follow(width, height, row, (c, r) => row * (r + 1) + c + 1, (from, to, r) => [from, r, to, r]);
  follow(height, width, 1, (r, c) => row * (r + 1) + c + 1, (from, to, c) => [c, from, c, to]);
  return found;
}

function outline(inside, size) {
  const path = typeof Path2D === "undefined" ? null : new Path2D();
  edges(inside, size).forEach(([x1, y1, x2, y2]) => {
    path?.moveTo(x1, y1);
    path?.lineTo(x2, y2);
  });
  return path;
}

function paint(layer, pane, lie) {
  const { canvas, context: g, area } = layer;
  if (canvas.width !== pane.canvas.width || canvas.height !== pane.canvas.height) {
    Object.assign(canvas, { width: pane.canvas.width, height: pane.canvas.height });
  }
  if (!area) {
    return;
  }
  area.image ??= tinted(area);
  const ratio = window.devicePixelRatio || 1;
  const [x, y] = toPane(lie, area.at[0] - 0.5, area.at[1] - 0.5);
  g.setTransform(ratio, 0, 0, ratio, 0, 0);
  g.imageSmoothingEnabled = false;
  g.drawImage(area.image, x, y, area.size[0] * lie.perColumn, area.size[1] * lie.perRow);
  const path = new Path2D();
  path.addPath(area.path, new DOMMatrix([lie.perColumn, 0, 0, lie.perRow, x, y]));
  g.lineCap = "square";
  for (const [colour, width] of LINES) {
    Object.assign(g, { strokeStyle: colour, lineWidth: width });
    g.stroke(path);
  }
  canvas.hidden = false;
  layer.filled = true;
}

function tinted({ inside, size: [width, height] }) {
  const canvas = el("canvas", { width, height });
  const image = new ImageData(width, height);
  const [colour] = new Uint32Array(Uint8Array.from(TINT).buffer);
  const pixels = new Uint32Array(image.data.buffer);
  for (let r = 0, p = 0; r < height; r += 1) {
    for (let c = 0, from = (width + 2) * (r + 1) + 1; c < width; c += 1, p += 1, from += 1) {
      pixels[p] = inside[from] ? colour : 0;
    }
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}
