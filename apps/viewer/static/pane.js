/** One pane: a picture, its letters, the crosshair and what is written in its corners. */

import { refusesDifference, scalesOf, subtract } from "./difference.js";
import { el, say, svg } from "./dom.js";
import { apply, edgeLetters } from "./geometry.js";
import { palette } from "./paint.js";
import { Picture, serial } from "./picture.js";
import { place, toPane, toPicture } from "./view.js";
import { short, windowWords } from "./windows.js";

const GAP = 14; // CSS pixels left free around the crosshair's middle

export class Pane {
  /** spec: { plane, series, mode, other } of layout.js; area: its name in the CSS grid. */
  constructor(viewer, spec, area) {
    Object.assign(this, spec);
    this.viewer = viewer;
    this.pictures = [new Picture(), new Picture()];
    this.swipe = 0.5;
    this.build(area);
    this.drawn = null;
    this.placed = "";
    this.observer = new ResizeObserver(() => this.resize());
    this.observer.observe(this.element);
  }

  build(area) {
    this.canvas = el("canvas");
    this.context = this.canvas.getContext("2d", { willReadFrequently: true }); // drawn by the processor: no upload
    this.lines = [0, 1, 2, 3].map(() => svg("line", { class: "cross" }));
    this.divider = svg("line", { class: "divider" });
    this.handle = svg("circle", { class: "divider handle", r: 9 });
    this.marks = svg("g");
    this.svg = svg("svg", {}, ...this.lines, this.marks, this.divider, this.handle);
    this.letters = Object.fromEntries(["left", "right", "top", "bottom"].map((edge) => [edge, el("span", { class: `letter ${edge}` })]));
    this.title = el("div", { class: "corner top-left" });
    this.second = el("div", { class: "corner top-right" });
    this.windowText = el("div", { class: "corner bottom-left" });
    this.scaleText = el("div", { class: "corner bottom-right" });
    this.sentence = el("p", {});
    this.again = el("button", { type: "button", onclick: () => this.viewer.retry() }, "Try again");
    this.again.addEventListener("pointerdown", (event) => event.stopPropagation());
    this.message = el("div", { class: "message" }, this.sentence, this.again);
    this.notice = el("div", { class: "notice" });
    this.element = el(
      "div", { class: "pane", style: `grid-area: ${area}`, "data-plane": this.plane, tabindex: -1 },
      this.canvas, this.svg, ...Object.values(this.letters), this.title, this.second, this.windowText, this.scaleText, this.notice, this.message,
    );
  }

  get volume() {
    return this.viewer.volumes[this.series];
  }

  get grid() {
    return this.viewer.gridOf(this.mode === "plain" ? this.series : this.viewer.pair[0], this.plane);
  }

  /** The slice that the crosshair lies in, held inside the series. */
  get slice() {
    const [, , s] = apply(this.grid.toPicture, this.viewer.crosshair);
    return Math.min(Math.max(Math.round(s), 0), this.grid.size[2] - 1);
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.element.clientWidth;
    this.height = this.element.clientHeight;
    this.canvas.width = Math.max(1, Math.round(this.width * ratio));
    this.canvas.height = Math.max(1, Math.round(this.height * ratio));
    this.context.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.placed = "";
    this.viewer.invalidate();
  }

  /** How this pane's grid lies in it now. */
  lie() {
    const reference = this.viewer.gridOf(this.viewer.reference, this.plane);
    return place(this.grid, reference, this.viewer.views[this.plane], this.width, this.height);
  }

  /** Picture [c, r] fractional and RAS mm under a point of the pane; mm lies in the slice shown. */
  at(x, y) {
    const [c, r] = toPicture(this.lie(), x, y);
    return { c, r, mm: apply(this.grid.toMm, [c, r, this.slice]) };
  }

  /** The middle of the pixel under a point, held inside the picture. */
  snapped(x, y) {
    const { c, r } = this.at(x, y);
    const [columns, rows] = this.grid.size;
    const hold = (v, n) => Math.min(Math.max(Math.round(v), 0), n - 1);
    return apply(this.grid.toMm, [hold(c, columns), hold(r, rows), this.slice]);
  }

  /** Draw what has changed. */
  draw() {
    if (!this.width) {
      return;
    }
    const volume = this.volume;
    const problem = this.problem();
    say(this.sentence, problem);
    this.message.hidden = !problem;
    this.again.hidden = !volume?.error || problem === " ";
    this.element.classList.toggle("active", this.viewer.plane === this.plane && this.viewer.panes.some((pane) => pane.plane !== this.plane));
    if (problem || !volume?.data) {
      this.empty();
      return;
    }
    const changed = this.drawPictures();
    const lie = this.lie();
    const key = [changed, JSON.stringify(lie), this.swipe, this.viewer.smooth, serial(this.grid), this.slice].join();
    if (changed || key !== this.placed) {
      this.show(lie);
      this.placed = key.replace(/^true/, "false");
    }
    this.overlaySvg(lie);
    this.corners();
  }

  problem() {
    const volume = this.volume;
    if (!volume) {
      return "";
    }
    if (volume.error) {
      return this.viewer.panes.find((pane) => pane.series === this.series) === this ? volume.error : " ";
    }
    if (!volume.data) {
      return "Reading the series ...";
    }
    return this.mode === "difference" ? refusesDifference(volume, this.viewer.volumes[this.other]) : "";
  }

  empty() {
    this.pictures.forEach((picture) => picture.blank());
    this.drawn = null;
    this.placed = "";
    this.context.clearRect(0, 0, this.width, this.height);
    this.marks.replaceChildren();
    [...this.lines, this.divider, this.handle].forEach((line) => line.setAttribute("visibility", "hidden"));
    [...Object.values(this.letters), this.second, this.windowText, this.scaleText, this.notice].forEach((node) => say(node, ""));
    say(this.title, this.volume?.about.title ?? "");
  }

  drawPictures() {
    const changed = this.mode === "difference" ? this.drawDifference() : this.drawPlain(0, this.series);
    const second = this.mode === "swipe" && this.viewer.volumes[this.other]?.data ? this.drawPlain(1, this.other) : false;
    this.drawn = { seriesId: this.volume.id, slice: this.slice, mm: [...this.viewer.crosshair] };
    return changed || second;
  }

  drawPlain(n, series) {
    const viewer = this.viewer;
    const volume = viewer.volumes[series];
    const slab = viewer.slabFor(this.grid);
    const base = { ...viewer.windowOf(series), colours: viewer.coloursOf(series) };
    base.sample = (picture) => picture.sample("base", volume, this.grid, this.slice, slab);
    return this.pictures[n].draw(this.grid, this.slice, slab, base, viewer.layersOn(series));
  }

  drawDifference() {
    const viewer = this.viewer;
    const [a, b] = [this.volume, viewer.volumes[this.other]];
    const shared = viewer.groupOf(this.series) === viewer.groupOf(this.other);
    this.scales = scalesOf(a, b, shared);
    const slab = viewer.slabFor(this.grid);
    const sample = (picture) => {
      const first = picture.sample("a", a, this.grid, this.slice, slab);
      const second = picture.sample("b", b, this.grid, this.slice, slab);
      const key = `${first.key}-${second.key}`;
      if (picture.samples.get("difference")?.key !== key) {
        const values = picture.samples.get("difference")?.values ?? new Float32Array(first.values.length);
        picture.samples.set("difference", { key, values: subtract(first.values, second.values, this.scales, values) });
      }
      return picture.samples.get("difference");
    };
    const top = this.scales.top * viewer.differenceGain;
    return this.pictures[0].draw(this.grid, this.slice, slab, { sample, lo: -top, hi: top, colours: palette("difference") }, []);
  }

  show(lie) {
    const g = this.context;
    g.fillStyle = "#000";
    g.fillRect(0, 0, this.width, this.height);
    g.imageSmoothingEnabled = this.viewer.smooth;
    this.stamp(g, lie, this.pictures[0]);
    if (this.mode === "swipe" && this.pictures[1].pixels) {
      g.save();
      g.beginPath();
      g.rect(this.swipe * this.width, 0, this.width, this.height);
      g.clip();
      g.fillRect(0, 0, this.width, this.height);
      this.stamp(g, lie, this.pictures[1]);
      g.restore();
    }
  }

  stamp(g, lie, picture) {
    const [x, y] = toPane(lie, -0.5, -0.5);
    g.drawImage(picture.canvas, x, y, picture.canvas.width * lie.perColumn, picture.canvas.height * lie.perRow);
  }

  overlaySvg(lie) {
    const [c, r] = apply(this.grid.toPicture, this.viewer.crosshair);
    const [x, y] = toPane(lie, c, r);
    const lines = [[0, y, x - GAP, y], [x + GAP, y, this.width, y], [x, 0, x, y - GAP], [x, y + GAP, x, this.height]];
    const shown = this.viewer.crosshairShown ? "visible" : "hidden";
    lines.forEach(([x1, y1, x2, y2], n) => set(this.lines[n], { x1, y1, x2, y2, visibility: shown }));
    const at = this.swipe * this.width;
    const swiping = this.mode === "swipe" ? "visible" : "hidden";
    set(this.divider, { x1: at, x2: at, y1: 0, y2: this.height, visibility: swiping });
    set(this.handle, { cx: at, cy: this.height / 2, visibility: swiping });
    this.viewer.measure.draw(this, lie);
  }

  corners() {
    const viewer = this.viewer;
    const { about, meta } = this.volume;
    const letters = about.placed ? edgeLetters(this.grid) : { left: "", right: "", top: "", bottom: "" };
    Object.entries(letters).forEach(([edge, letter]) => say(this.letters[edge], letter));
    const where = about.placed ? this.plane : "picture";
    const slab = viewer.slabFor(this.grid);
    say(this.title, this.mode === "difference" ? `${about.title} minus ${viewer.volumes[this.other].about.title}` : about.title);
    this.warn();
    say(this.second, `${where} ${this.slice + 1} / ${this.grid.size[2]}${slab ? ` · ${viewer.slabWords(this.grid)}` : ""}`);
    if (this.mode === "difference") {
      say(this.windowText, `± ${short(this.scales.top * viewer.differenceGain)} · ${this.scales.words} · orange: first is brighter`);
      say(this.scaleText, "");
      return;
    }
    say(this.windowText, windowWords(viewer.windowOf(this.series), meta) + (viewer.inverted ? " · inverted" : ""));
    const laid = viewer.resampled(this.series, this.plane) ? "resampled on the first series' plane" : "";
    const words = this.mode === "swipe" ? this.secondWords() : laid;
    say(this.scaleText, [words, meta.repaired].filter(Boolean).join(" · ")); // voxels that are not the file's own say so
  }

  /** Say so for as long as a picture shows what a model made up; of a swipe on its side of the line. */
  warn() {
    const made = (series) => ["synthetic", "back"].includes(this.viewer.volumes[series]?.about.role);
    const [first, second] = [made(this.series), this.mode !== "plain" && made(this.other)];
    const parts = this.mode === "swipe" && first !== second;
    say(this.notice, first || second ? "synthetic - not for diagnosis" : "");
    this.notice.style.left = parts && second ? `${this.swipe * 100}%` : "0";
    this.notice.style.right = parts && first ? `${(1 - this.swipe) * 100}%` : "0";
  }

  /** The series right of the swipe's line, and its window. */
  secondWords() {
    const { about, meta } = this.viewer.volumes[this.other];
    return `${about.title}${meta ? ` · ${windowWords(this.viewer.windowOf(this.other), meta)}` : ""}`;
  }

  /** The series drawn at x. */
  seriesAt(x) {
    return this.mode === "swipe" && x > this.swipe * this.width ? this.other : this.series;
  }

  dispose() {
    this.observer.disconnect();
    this.pictures.forEach((picture) => picture.blank());
    this.element.remove();
  }
}

function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    const text = typeof value === "number" ? value.toFixed(1) : value;
    if (node.getAttribute(name) !== text) {
      node.setAttribute(name, text);
    }
  }
}
