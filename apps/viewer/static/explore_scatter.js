/** All cases as points on a canvas: drag to move, wheel to zoom, lasso or box to choose, click to open. */

import { el } from "./dom.js";
import { raster, rgbOf } from "./explore_dots.js";
import { dragged, fit, placed, under, within, zoomed } from "./explore_space.js";

const CLICK = 5; // pixels that a hand may tremble
const SIZES = [[5000, 3], [800, 3.8], [0, 5]]; // radius of a point by how many there are more than

export class Scatter {
  /** on: { hover(row or -1, x, y), open(row), choose(rows), move() } */
  constructor(parent, on) {
    this.on = on;
    this.points = el("canvas", { class: "points" });
    this.above = el("canvas", { class: "above", tabindex: 0, role: "img", "aria-label": "All cases as points" });
    this.element = el("div", { class: "plot" }, this.points, this.above);
    parent.append(this.element);
    Object.assign(this, { xs: [], ys: [], key: null, view: null, chosen: new Set(), opened: -1, lit: -1, tool: "lasso", outline: null });
    this.sizes = new ResizeObserver(() => this.resize());
    this.sizes.observe(this.element);
    const listen = (name, act, options) => this.above.addEventListener(name, act, options);
    listen("pointerdown", (event) => this.press(event));
    listen("pointermove", (event) => this.pointer(event));
    listen("pointerup", (event) => this.release(event));
    listen("pointercancel", () => this.drop());
    listen("pointerleave", () => this.light(-1));
    listen("contextmenu", (event) => event.preventDefault());
    listen("dblclick", () => this.whole());
    listen("wheel", (event) => this.wheel(event), { passive: false });
    listen("keydown", (event) => event.key === "Escape" && this.on.choose([]));
  }

  dispose() {
    this.sizes.disconnect();
  }

  /** Other places for the same cases, seen whole. */
  place(xs, ys) {
    [this.xs, this.ys] = [xs, ys];
    this.whole();
  }

  /** Colours, as keyOf gives them. */
  colour(key) {
    this.key = key;
    this.looks = key.marks.map(({ colour, shape }) => ({ rgb: rgbOf(colour), shape }));
    this.draw();
  }

  whole() {
    this.view = this.width ? fit(this.xs, this.ys, this.width, this.height) : null;
    this.draw();
  }

  resize() {
    const { width, height } = this.element.getBoundingClientRect();
    if (!width || !height) {
      return;
    }
    const ratio = window.devicePixelRatio || 1;
    Object.assign(this, { width, height, ratio });
    for (const canvas of [this.points, this.above]) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.getContext("2d", { willReadFrequently: true }).setTransform(ratio, 0, 0, ratio, 0, 0);
    }
    this.view ??= fit(this.xs, this.ys, width, height);
    this.drawNow();
  }

  draw() {
    this.pending ??= requestAnimationFrame(() => this.drawNow());
  }

  drawNow() {
    cancelAnimationFrame(this.pending);
    this.pending = null;
    if (!this.width || !this.key || !this.view) {
      return;
    }
    this.places = placed(this.xs, this.ys, this.view, this.width, this.height);
    const { width, height } = this.points;
    const data = raster({
      width, height, ratio: this.ratio, places: this.places, of: this.key.of, looks: this.looks, chosen: this.chosen,
      faint: this.chosen.size ? 0.3 : 0.85, radius: SIZES.find(([more]) => this.xs.length > more)?.[1] ?? 5,
    });
    this.points.getContext("2d", { willReadFrequently: true }).putImageData(new ImageData(data, width, height), 0, 0);
    this.drawAbove();
  }

  drawAbove() {
    const picture = this.above.getContext("2d");
    picture.clearRect(0, 0, this.width, this.height);
    for (const [row, colour] of [[this.opened, "#ffffff"], [this.lit, "#ffb454"]]) {
      if (row >= 0 && this.places) {
        picture.strokeStyle = colour;
        picture.lineWidth = 2;
        picture.beginPath();
        picture.arc(this.places.x[row], this.places.y[row], 8, 0, 7);
        picture.stroke();
      }
    }
    if (this.outline) {
      picture.strokeStyle = "#ffb454";
      picture.fillStyle = "rgba(255, 180, 84, .12)";
      picture.lineWidth = 1.5;
      picture.beginPath();
      this.shape().forEach(([x, y], n) => (n ? picture.lineTo(x, y) : picture.moveTo(x, y)));
      picture.closePath();
      picture.fill();
      picture.stroke();
    }
  }

  /** The outline being drawn; a box is made of its two corners. */
  shape() {
    if (this.tool !== "box") {
      return this.outline;
    }
    const [[x0, y0], [x1, y1]] = [this.outline[0], this.outline.at(-1)];
    return [[x0, y0], [x1, y0], [x1, y1], [x0, y1]];
  }

  show({ chosen, opened, lit }) {
    const points = chosen !== undefined;
    this.chosen = points ? new Set(chosen) : this.chosen;
    this.opened = opened ?? this.opened;
    this.lit = lit ?? this.lit;
    if (points) {
      this.draw();
    } else if (this.width) {
      this.drawAbove();
    }
  }

  at(event) {
    const box = this.above.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  press(event) {
    this.above.setPointerCapture(event.pointerId);
    const moves = event.button !== 0 || this.tool === "move";
    this.began = { at: this.at(event), last: this.at(event), moves, far: false };
    this.outline = moves ? null : [this.at(event)];
    this.light(-1);
  }

  pointer(event) {
    const [x, y] = this.at(event);
    if (!this.began) {
      this.light(this.places ? under(this.places, x, y) : -1, x, y);
      return;
    }
    const { at, last, moves } = this.began;
    this.began.far ||= Math.hypot(x - at[0], y - at[1]) > CLICK;
    if (moves && this.view) {
      this.view = dragged(this.view, x - last[0], y - last[1]);
      this.began.last = [x, y];
      this.draw();
    } else if (this.began.far) {
      this.outline.push([x, y]);
      this.drawAbove();
    }
  }

  release(event) {
    const { began } = this;
    const outline = this.outline && began?.far ? this.shape() : null;
    this.drop();
    if (outline) {
      this.on.choose(within(this.places, outline));
    } else if (began && !began.far && event.button === 0 && this.places) {
      const row = under(this.places, ...this.at(event));
      if (row >= 0) {
        this.on.open(row);
      }
    }
  }

  drop() {
    this.began = this.outline = null;
    if (this.width) {
      this.drawAbove();
    }
  }

  wheel(event) {
    event.preventDefault();
    if (this.view) {
      this.view = zoomed(this.view, ...this.at(event), Math.exp(-event.deltaY / 500), this.width, this.height);
      this.light(-1);
      this.draw();
    }
  }

  light(row, x = 0, y = 0) {
    if (row !== this.lit) {
      this.show({ lit: row });
      this.on.hover(row, x, y);
    }
  }
}
