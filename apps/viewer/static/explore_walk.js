/** The walk: sliders that move a case along the model's directions, drawn live beside the nearest real case. */

import { el, say } from "./dom.js";
import { askPictures, Newest } from "./explore_ask.js";
import { framed, paint } from "./explore_pictures.js";
import { Ways } from "./explore_ways.js";

const FIRST = 8; // sliders shown before more are asked for
const REACH = 3; // sigmas to either side
const PLANES = ["across", "from the front", "from the side"];
export const EXPLAINED = "The model condenses each picture into a few numbers. A direction is one of them: moving its slider changes the picture in one way that the model has learnt. The middle of each slider is where you start; its ends are three standard deviations away.";

export class Walk {
  /** toMap(row): open a case on the map. */
  constructor(parent, cases, toMap) {
    Object.assign(this, { cases, toMap, base: "mean", moves: new Map(), plane: 0, many: FIRST, ready: false, answered: 0 });
    this.element = el("div", { class: "walk" });
    parent.append(this.element);
    this.asking = new Newest((query) => askPictures(cases.id, "walk", query), (pictures) => this.show(pictures), (error) => this.fail(error));
  }

  /** Called when the tab is opened: builds at the first time, since the model is started then. */
  shown() {
    if (!this.ready) {
      this.ready = true;
      this.build();
    }
  }

  build() {
    const { cases } = this;
    const { table, model } = cases;
    if (model) {
      this.element.append(el("p", { class: "state" }, model));
      return;
    }
    this.from = el("strong", {}, "the average of all cases");
    this.sliders = el("div", { class: "sliders" });
    this.more = el("button", { type: "button", onclick: () => this.showMore() }, "More directions");
    this.state = el("p", { class: "quiet", "aria-live": "polite" }, "Starting the model, which takes some seconds the first time.");
    this.drawn = framed("Drawn by the model", "large");
    this.near = framed("Nearest real case", "large");
    this.near.canvas.addEventListener("click", () => this.beside !== undefined && this.toMap(this.beside));
    this.nearing = new Newest(
      (row) => askPictures(cases.id, "thumbnails", { rows: row, side: 512, key: table.key }),
      (pictures, row) => this.showNear(pictures, row),
      (error) => this.failNear(error),
    );
    this.facts = el("p", { class: "quiet" });
    this.planes = el("span", { class: "tools" }, ...PLANES.map((title, n) => el("button", { type: "button", onclick: () => this.cut(n) }, title)));
    this.depth = el("input", { type: "range", min: 0, value: 0, "aria-label": "Slice", oninput: () => this.deeper() });
    this.level = el("output", {}, "");
    this.volume = el("div", { class: "row", hidden: true }, this.planes, this.depth, this.level, el("span", { class: "quiet" }, "The real case is shown by its middle slice."));
    const panel = el("div", { class: "panel" },
      el("p", { class: "start" }, "Starting from ", this.from),
      el("div", { class: "row" }, el("button", { type: "button", onclick: () => this.reset() }, "All sliders to the middle"), el("button", { type: "button", onclick: () => this.take("from", null) }, "Start from the average")),
      this.sliders, this.more, el("p", { class: "quiet" }, EXPLAINED), this.used());
    this.ways = new Ways(this.cases, () => this.place());
    this.element.append(panel, el("div", { class: "scene" }, this.volume, this.state,
      el("div", { class: "pair" }, this.drawn.figure, this.near.figure), this.facts, this.ways.element));
    this.cut(0, true);
    this.fill();
    this.pending?.();
    this.ask();
  }

  used() {
    const { active, order } = this.cases.table.walk;
    const some = `${active} of ${order.length} directions are in use; the sliders of the others change nothing.`;
    const words = active === null ? "" : active === order.length ? `All ${active} directions are in use.` : some;
    return words ? el("p", { class: "quiet" }, words) : null;
  }

  fill() {
    const { order } = this.cases.table.walk;
    this.sliders.replaceChildren(...order.slice(0, this.many).map((direction, n) => this.slider(direction, n)));
    this.more.hidden = this.many >= order.length;
  }

  showMore() {
    this.many *= 2;
    this.fill();
  }

  slider(direction, n) {
    const value = el("output", {}, "0");
    const input = el("input", { type: "range", min: -REACH, max: REACH, step: 0.05, value: this.moves.get(direction) ?? 0, "aria-label": `Direction ${n + 1}`, "data-direction": direction });
    const say_ = () => say(value, signed(Number(input.value)));
    input.addEventListener("input", () => {
      this.moves.set(direction, Number(input.value));
      say_();
      this.ask();
    });
    input.addEventListener("dblclick", () => {
      input.value = 0;
      input.dispatchEvent(new Event("input"));
    });
    say_();
    return el("label", {}, el("span", {}, `Direction ${n + 1}`), input, value);
  }

  /** Start from a case (null: the average), or make it one end of the way between two. */
  take(how, row) {
    if (this.cases.model) {
      return;
    }
    if (!this.element.hasChildNodes()) {
      this.pending = () => this.take(how, row);
      return;
    }
    if (how !== "from") {
      this.ways.end(how, row);
      return;
    }
    this.base = row ?? "mean";
    say(this.from, row === null ? "the average of all cases" : `case ${row + 1}`);
    this.reset();
  }

  reset() {
    this.moves.clear();
    this.fill();
    this.ask();
  }

  cut(plane, silent = false) {
    this.plane = plane;
    this.slice = null;
    [...this.planes.children].forEach((one, n) => one.setAttribute("aria-pressed", String(n === plane)));
    if (!silent) {
      this.ask();
      this.ways.refresh();
    }
  }

  deeper() {
    this.slice = Number(this.depth.value);
    this.ask();
    this.ways.refresh();
  }

  /** Of a volume: which planes and slices there are. */
  cuts(size) {
    this.volume.hidden = !this.solid;
    if (this.solid) {
      this.depth.max = size[this.plane] - 1;
      if (this.slice === null) {
        this.depth.value = size[this.plane] >> 1;
      }
      say(this.level, `slice ${Number(this.depth.value) + 1} of ${size[this.plane]}`);
    }
  }

  /** What every question about drawn pictures says of where we are. */
  place() {
    const moves = [...this.moves].filter(([, sigmas]) => sigmas).map(([direction, sigmas]) => `${direction}:${sigmas}`).join(",");
    const cut = this.solid ? { plane: this.plane, ...(this.slice === null ? {} : { slice: this.slice }) } : {};
    return { base: this.base, moves, key: this.cases.table.key, ...cut };
  }

  ask() {
    this.asking.ask(this.place());
  }

  show(pictures) {
    const { size, nearest, far } = pictures.about;
    this.solid = size !== undefined;
    this.cuts(size);
    paint(this.drawn.canvas, pictures);
    this.answered += 1;
    say(this.state, "");
    this.ways.started();
    if (this.cases.table.picture && nearest[0] !== this.nearest) {
      [this.nearest] = nearest;
      this.nearing.ask(this.nearest);
    }
    say(this.facts, `The nearest real case is number ${nearest[0] + 1}, at a distance of ${far[0].toPrecision(3)}. What the model draws is no patient, and shows nothing that was measured.`);
  }

  /** The picture of the nearest case comes later than its number: until then the one before stays, under its own. */
  showNear(pictures, row) {
    paint(this.near.canvas, pictures);
    this.beside = row;
    say(this.near.caption, `Nearest real case: number ${row + 1} (click to open it)`);
  }

  failNear(error) {
    this.nearest = undefined; // so that the next step asks for it again
    this.fail(error);
  }

  fail(error) {
    say(this.state, error.message);
  }

  dispose() {
    this.asking.cancel();
    this.nearing?.cancel();
    this.element.remove();
  }
}

/** "+1.5", "0", "-2.05" */
export function signed(value) {
  return `${value > 0 ? "+" : ""}${Number(value.toFixed(2))}`;
}
