/** A - B + C: three concepts, each the mean of a few samples chosen by clicking, and what the model draws of the sum. */

import { el, say } from "./dom.js";
import { Newest } from "./explore_ask.js";
import { framed, paint } from "./explore_pictures.js";

const EACH = 3;
const NAMES = ["A", "B", "C"];

export class Sum {
  /** ask(query): pictures; near: the nearest training image; press({ name: rows }): mark them on the shelf; tell(sentence). */
  constructor(ask, near, press, tell) {
    Object.assign(this, { near, press, tell, now: "A", rows: { A: [], B: [], C: [] } });
    this.drawing = new Newest(ask, (found) => this.draw(found), (error) => tell(error.message));
    this.frames = [...NAMES, "sum"].map((name) => framed(name));
  }

  parts() {
    this.buttons = NAMES.map((name) => el("button", { type: "button", "data-concept": name, onclick: () => this.turn(name) }));
    const [a, b, c, sum] = this.frames;
    const clear = el("button", { type: "button", onclick: () => this.clear() }, "Clear");
    return [el("p", {}, `Choose ${EACH} samples for each of A, B and C by clicking above: what those of A have in common, minus B, plus C. A mean of ${EACH} is steadier than one sample.`),
      el("div", { class: "row" }, ...this.buttons, clear),
      el("div", { class: "sum" }, a.figure, "\u2212", b.figure, "+", c.figure, "=", sum.figure), el("div", { class: "pair" }, this.near.frame.figure, this.near.element)];
  }

  turn(name) {
    this.now = name;
    this.refresh();
  }

  clear() {
    this.rows = { A: [], B: [], C: [] };
    this.now = "A";
    this.frames.forEach(({ canvas }) => canvas.getContext("2d", { willReadFrequently: true }).clearRect(0, 0, canvas.width, canvas.height));
    this.refresh();
  }

  /** A click adds a sample to the concept that is being filled, or takes it out again; full, the next one's turn comes. */
  choose(row) {
    const mine = this.rows[this.now];
    const at = mine.indexOf(row);
    at >= 0 ? mine.splice(at, 1) : mine.length < EACH && mine.push(row);
    if (mine.length === EACH) {
      this.now = NAMES.find((name) => this.rows[name].length < EACH) ?? this.now;
    }
    this.refresh();
  }

  refresh() {
    this.press(this.rows);
    this.buttons.forEach((button, n) => {
      const name = NAMES[n];
      button.setAttribute("aria-pressed", String(name === this.now));
      say(button, `${name}: ${this.rows[name].length} of ${EACH}`);
    });
    if (NAMES.every((name) => this.rows[name].length === EACH)) {
      const query = Object.fromEntries(NAMES.map((name) => [name.toLowerCase(), this.rows[name].join()]));
      this.drawing.ask(query);
      this.near.ask({ of: "mix", ...query }, NAMES.length);
    } else {
      this.near.clear();
      this.tell(`Click samples for ${this.now}.`);
    }
  }

  draw(found) {
    const words = ["A: mean of its samples", "B: mean of its samples", "C: mean of its samples", "A \u2212 B + C, drawn by the model"];
    this.frames.forEach(({ canvas, caption }, n) => {
      paint(canvas, found, n);
      say(caption, words[n]);
    });
    this.drawn = (this.drawn ?? 0) + 1;
    this.tell("");
  }
}
