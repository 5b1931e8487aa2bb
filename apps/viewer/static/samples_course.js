/** The course of a training: pictures from fixed noise by step, beside the distance from real images. */

import { el, say, svg } from "./dom.js";
import { askJson, stepAddress } from "./samples_ask.js";

const [W, H] = [480, 300];
const PAD = { left: 58, right: 14, top: 12, bottom: 30 };

/** x(step), y(value) of a curve in the picture; the scale is logarithmic where all values are above 0. */
export function scales({ steps, values }, first, last) {
  const known = values.filter((value) => value !== null);
  const log = known.length > 0 && Math.min(...known) > 0;
  const of = (value) => (log ? Math.log10(value) : value);
  const [low, high] = [Math.min(...known.map(of)), Math.max(...known.map(of))];
  const span = high - low || 1;
  const [from, to] = [Math.min(first, steps[0]), Math.max(last, steps[steps.length - 1])];
  return {
    x: (step) => PAD.left + ((step - from) / (to - from || 1)) * (W - PAD.left - PAD.right),
    y: (value) => PAD.top + ((high - of(value)) / span) * (H - PAD.top - PAD.bottom),
    step: (x) => from + ((x - PAD.left) / (W - PAD.left - PAD.right)) * (to - from),
  };
}

/** Number of the step that lies nearest. */
export const nearest = (steps, step) => steps.reduce((best, one, n) => (Math.abs(one - step) < Math.abs(steps[best] - step) ? n : best), 0);

/**
 * How a picture is laid out anew: a generator's is one column of samples, which becomes a block as wide as high.
 * Returns { columns, rows, from: [y of each sample] }, or null where it stays as it is (cell: [h, w] or null).
 */
export function block(width, height, cell) {
  if (!cell || width !== cell[1] || height % cell[0] || height < 2 * cell[0]) {
    return null;
  }
  const n = height / cell[0];
  const columns = Math.ceil(Math.sqrt(n));
  return { columns, rows: Math.ceil(n / columns), from: Array.from({ length: n }, (_, k) => k * cell[0]) };
}

export class Course {
  constructor(parent) {
    this.root = el("div", { class: "explore samples" });
    parent.append(this.root);
    window.medudlCourse = this; // for tests
  }

  async update(data) {
    this.root.style.height = data.height;
    if (data.id === this.id) {
      return;
    }
    this.id = data.id;
    try {
      this.build(await askJson(data.id, "course"));
    } catch (error) {
      this.root.replaceChildren(el("p", { class: "state" }, error.message));
    }
  }

  build(told) {
    this.told = told;
    if (!told.steps.length) {
      this.root.replaceChildren(el("p", { class: "state" }, told.why));
      return;
    }
    this.held = new Map();
    this.image = el("canvas", { class: "step", role: "img", "aria-label": "Images that the model made at this step" });
    this.input = el("input", { type: "range", min: 0, max: told.steps.length - 1, value: told.steps.length - 1, "aria-label": "Step", oninput: () => this.show() });
    this.level = el("output", {});
    this.state = el("p", { class: "problem" });
    const alarms = told.alarms.map((line) => el("p", { class: "warning" }, "⚠ ", line));
    this.root.replaceChildren(el("div", { class: "course" }, ...alarms,
      el("div", { class: "row" }, "Step", this.input, this.level, this.state),
      el("div", { class: "both" }, this.image, el("div", { class: "graph" }, ...this.graph(),
        el("p", { class: "quiet" }, "The same noise at every step: one place of the picture is one sample as it came about. A model that also answers scans shows held-out patients' scans above its samples.")))));
    this.show();
  }

  graph() {
    const { curve, steps } = this.told;
    if (!curve) {
      return [el("p", { class: "quiet" }, "No distance from real images was measured while it trained.")];
    }
    this.place = scales(curve, steps[0], steps[steps.length - 1]);
    const { x, y } = this.place;
    const parts = curve.values.map((value, n) => (value === null ? "" : `${n && curve.values[n - 1] !== null ? "L" : "M"}${x(curve.steps[n]).toFixed(1)} ${y(value).toFixed(1)}`));
    this.mark = svg("line", { y1: PAD.top, y2: H - PAD.bottom, stroke: "#ffb454" });
    const known = curve.values.filter((value) => value !== null);
    const labels = [...new Set([Math.max(...known), Math.min(...known)])].map((value) => svg("text", { x: PAD.left - 6, y: y(value) + 4, "text-anchor": "end" }, value.toPrecision(3)));
    const ends = [steps[0], steps[steps.length - 1]].map((step, n) => svg("text", { x: x(step), y: H - 10, "text-anchor": n ? "end" : "start" }, `step ${step.toLocaleString("en")}`));
    const dots = known.length < 60 ? curve.values.map((value, n) => (value === null ? null : svg("circle", { cx: x(curve.steps[n]), cy: y(value), r: 3, fill: "#58a6ff" }))) : [];
    const drawn = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": curve.title }, svg("path", { d: parts.join(""), fill: "none", stroke: "#58a6ff", "stroke-width": 2 }), ...dots, this.mark, ...labels, ...ends);
    drawn.addEventListener("click", (event) => {
      const box = drawn.getBoundingClientRect();
      this.input.value = nearest(steps, this.place.step(((event.clientX - box.left) / box.width) * W));
      this.show();
    });
    return [el("p", {}, curve.title), drawn];
  }

  /** Pictures are fetched once; while one is on its way the last one stays. */
  async show() {
    const step = this.told.steps[Number(this.input.value)];
    say(this.level, step.toLocaleString("en"));
    if (this.mark) {
      this.mark.setAttribute("x1", this.place.x(step));
      this.mark.setAttribute("x2", this.place.x(step));
    }
    if (!this.held.has(step)) {
      this.held.set(step, fetch(stepAddress(this.id, step)).then(async (answer) => (answer.ok ? createImageBitmap(await answer.blob()) : null)).catch(() => null));
    }
    const found = await this.held.get(step);
    if (this.told.steps[Number(this.input.value)] === step) {
      say(this.state, found ? "" : "This picture cannot be read: it has been deleted or damaged.");
      this.image.hidden = !found;
      found && this.draw(found);
      this.shown = step;
    }
  }

  draw(bitmap) {
    const { width, height } = bitmap;
    const laid = block(width, height, this.told.cell);
    const [w, h] = laid ? [laid.columns * width, laid.rows * this.told.cell[0]] : [width, height];
    Object.assign(this.image, { width: w, height: h });
    this.image.style.aspectRatio = `${w} / ${h}`;
    const pen = this.image.getContext("2d", { willReadFrequently: true });
    const tall = laid ? this.told.cell[0] : height;
    (laid?.from ?? [0]).forEach((y, k) => {
      const columns = laid?.columns ?? 1;
      pen.drawImage(bitmap, 0, y, width, tall, (k % columns) * width, Math.floor(k / columns) * tall, width, tall);
    });
  }

  dispose() {
    this.held?.forEach((one) => one.then((bitmap) => bitmap?.close()));
    this.root.remove();
  }
}
