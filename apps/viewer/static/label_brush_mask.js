/** A mask of one series while it is painted: voxels, strokes that can be taken back, runs for the way. No DOM. */

import { apply, column, length } from "./geometry.js";

const MOST_KEPT = 2e7; // voxels of strokes that can be taken back: 80 MB

export class PaintedMask {
  /** shape: of the series, [i, j, k]; data: bytes to begin with, 1 where it is painted. */
  constructor(shape, data = null) {
    this.shape = shape;
    this.data = new Uint8Array(shape[0] * shape[1] * shape[2]);
    this.count = 0;
    this.box = null; // [[i, j, k] lowest, [i, j, k] highest] outside which nothing was ever painted
    this.begin();
    if (data) {
      this.take(data);
    }
  }

  /** From here on strokes can be taken back. */
  begin() {
    this.strokes = [];
    this.kept = 0;
    this.forgotten = false; // strokes that can be taken back no more
  }

  /** True where something differs from `begin`, as far as strokes tell. */
  get changed() {
    return this.strokes.length > 0 || this.forgotten;
  }

  take(data) {
    this.data.set(data);
    const [nx, ny] = this.shape;
    const place = (at) => [at % nx, Math.floor(at / nx) % ny, Math.floor(at / nx / ny)];
    this.eachRun((value, from, to) => {
      if (value) {
        this.count += to - from;
        const [low, high] = [place(from), place(to - 1)];
        // A run that goes on into the next row, or slice, may lie anywhere in it.
        const [rows, slices] = [low[1] !== high[1] || low[2] !== high[2], low[2] !== high[2]];
        this.grow([rows ? 0 : low[0], slices ? 0 : low[1], low[2]], [rows ? nx - 1 : high[0], slices ? ny - 1 : high[1], high[2]]);
      }
    });
  }

  grow(low, high) {
    this.box = this.box
      ? [low.map((x, n) => Math.min(x, this.box[0][n])), high.map((x, n) => Math.max(x, this.box[1][n]))]
      : [[...low], [...high]];
  }

  /** Begin a stroke; value 1 paints, 0 erases. */
  down(value) {
    this.stroke = { value, voxels: [], low: [Infinity, Infinity, Infinity], high: [-Infinity, -Infinity, -Infinity] };
  }

  /**
   * Paint what lies within `radius` mm of the line between two points of slice s of `grid` (of planeGrid, along this
   * series' voxels), and the pixel that the second lies in. from, to: [c, r], fractional. Returns the box that was
   * touched, [lowest, highest] voxel, null where nothing changed.
   */
  line(grid, s, from, to, radius) {
    const [columns, rows] = grid.size;
    const step = [0, 1].map((n) => length(column(grid.toMm, n)));
    const wide = Math.max(radius, Math.min(...step) / 2);
    const hold = (x, n) => Math.min(Math.max(x, 0), n - 1);
    const reach = (role, n) => [
      hold(Math.ceil(Math.min(from[role], to[role]) - wide / step[role]), n),
      hold(Math.floor(Math.max(from[role], to[role]) + wide / step[role]), n),
    ];
    const [[c0, c1], [r0, r1]] = [reach(0, columns), reach(1, rows)];
    const inside = capsule([from[0] * step[0], from[1] * step[1]], [to[0] * step[0], to[1] * step[1]], wide);
    const start = apply(grid.toVoxel, [0, 0, s]);
    const along = [0, 1].map((n) => this.index(column(grid.toVoxel, n)));
    const first = this.index(start);
    const before = this.stroke.voxels.length;
    for (let r = r0; r <= r1; r += 1) {
      for (let c = c0; c <= c1; c += 1) {
        if (inside(c * step[0], r * step[1])) {
          this.set(first + c * along[0] + r * along[1]);
        }
      }
    }
    const [c, r] = to.map((x) => Math.round(x) + 0);
    const hit = c >= 0 && r >= 0 && c < columns && r < rows;
    if (hit) {
      this.set(first + c * along[0] + r * along[1]);
    }
    if (this.stroke.voxels.length === before) {
      return null;
    }
    const ends = [[Math.min(c0, hit ? c : c0), Math.min(r0, hit ? r : r0), s], [Math.max(c1, hit ? c : c1), Math.max(r1, hit ? r : r1), s]];
    return this.touched(...ends.map((end) => apply(grid.toVoxel, end)));
  }

  touched(a, b) {
    const [low, high] = [a.map((x, n) => Math.min(x, b[n])), a.map((x, n) => Math.max(x, b[n]))];
    if (this.stroke.value) {
      this.grow(low, high);
    }
    this.stroke.low = low.map((x, n) => Math.min(x, this.stroke.low[n]));
    this.stroke.high = high.map((x, n) => Math.max(x, this.stroke.high[n]));
    return [low, high];
  }

  /** The stroke has ended. */
  up() {
    if (this.stroke?.voxels.length) {
      this.strokes.push({ ...this.stroke, voxels: Uint32Array.from(this.stroke.voxels) });
      this.kept += this.stroke.voxels.length;
      while (this.kept > MOST_KEPT && this.strokes.length > 1) {
        this.kept -= this.strokes.shift().voxels.length;
        this.forgotten = true;
      }
    }
    this.stroke = null;
  }

  /** Take the last stroke back; returns its box, null where there is none. */
  undo() {
    const last = this.strokes.pop();
    if (!last) {
      return null;
    }
    last.voxels.forEach((at) => { this.data[at] = 1 - last.value; });
    this.count += last.value ? -last.voxels.length : last.voxels.length;
    this.kept -= last.voxels.length;
    return [last.low, last.high];
  }

  set(at) {
    const { value, voxels } = this.stroke;
    if (this.data[at] !== value) {
      this.data[at] = value;
      voxels.push(at);
      this.count += value ? 1 : -1;
    }
  }

  index([i, j, k]) {
    return i + this.shape[0] * (j + this.shape[1] * k);
  }

  /** Lengths of runs of 0s and 1s in turn, 0s first, as Uint32Array: what the server takes. */
  runs() {
    const found = [];
    this.eachRun((value, from, to) => found.push(to - from));
    return Uint32Array.from(found);
  }

  /** each(value, from, to) for runs of 0s and 1s in turn; the first is of 0s, and may be empty. */
  eachRun(each) {
    for (let from = 0, value = 0; from < this.data.length; value = 1 - value) {
      const found = this.data.indexOf(1 - value, from);
      const to = found < 0 ? this.data.length : found;
      each(value, from, to);
      from = to;
    }
  }
}

/** A test whether a point lies within `radius` of the line between two others, all in mm. */
function capsule([ax, ay], [bx, by], radius) {
  const [dx, dy] = [bx - ax, by - ay];
  const size = dx * dx + dy * dy;
  const most = radius * radius * (1 + 1e-9);
  return (x, y) => {
    const t = size > 0 ? Math.min(Math.max(((x - ax) * dx + (y - ay) * dy) / size, 0), 1) : 0;
    const [px, py] = [x - ax - t * dx, y - ay - t * dy];
    return px * px + py * py <= most;
  };
}
