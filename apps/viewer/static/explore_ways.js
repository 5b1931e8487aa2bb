/** Below the walk: the way between two cases, a grid of two directions, pictures that the model makes up. */

import { el, say } from "./dom.js";
import { askPictures, Newest } from "./explore_ask.js";
import { framed, paint } from "./explore_pictures.js";

const TABS = { between: "Between two cases", grid: "Two directions at once", samples: "Made up by the model" };
const SAMPLES = 14;
const DRAWING = "Drawing";

export class Ways {
  /** place(): what Walk.place gives. */
  constructor(cases, place) {
    Object.assign(this, { cases, place, a: null, b: null, at: 0.5, seed: 0, tab: "between", ready: false });
    this.body = el("div", { class: "body" });
    this.state = el("p", { class: "quiet", "aria-live": "polite" });
    this.tabs = el("nav", { class: "tabs small" });
    this.element = el("div", { class: "ways-below" }, this.tabs, this.body, this.state);
    const fail = (error) => say(this.state, error.message);
    const ask = (what) => (query) => askPictures(cases.id, what, query);
    this.strip = new Newest(ask("between"), (found, { a, b }) => this.drawStrip(found, a, b), fail);
    this.single = new Newest(ask("between"), (found) => paint(this.mixed.canvas, found), fail);
    this.grids = new Newest(ask("grid"), (found) => this.draw(found, 7, "grid"), fail);
    this.made = new Newest(ask("samples"), (found) => this.draw(found, 7, "made"), fail);
    this.offer();
  }

  offer() {
    const open = Object.keys(TABS).filter((tab) => tab !== "samples" || this.cases.table.walk.sample);
    this.tabs.replaceChildren(...open.map((tab) => el("button", { type: "button", "data-way": tab, "aria-selected": String(tab === this.tab), onclick: () => this.show(tab) }, TABS[tab])));
  }

  /** The model has drawn its first picture: from now on it answers at once. */
  started() {
    if (!this.ready) {
      this.ready = true;
      this.show(this.tab);
    }
  }

  end(which, row) {
    this[which] = row;
    this.show("between");
  }

  show(tab) {
    this.tab = tab;
    this.offer();
    say(this.state, "");
    this.sheet = el("div", { class: `drawn ${tab}` });
    this.body.replaceChildren(...{ between: () => this.between(), grid: () => this.grid(), samples: () => this.samples() }[tab](), this.sheet);
    this.refresh();
  }

  refresh() {
    if (!this.ready) {
      return;
    }
    const { base, moves, key, ...cut } = this.place();
    say(this.state, DRAWING);
    if (this.tab === "between") {
      const known = this.a !== null && this.b !== null;
      say(this.state, known ? DRAWING : "Open a case on the map and choose 'Use as case A', then another one as case B.");
      if (known) {
        this.slide();
        this.strip.ask({ a: this.a, b: this.b, key, ...cut });
      }
    } else if (this.tab === "grid") {
      this.grids.ask({ base, across: this.across.value, up: this.up.value, key, ...cut });
    } else {
      this.made.ask({ count: SAMPLES, seed: this.seed, key, ...cut });
    }
  }

  between() {
    this.mixed = framed("half way", "mixed");
    const name = (row) => (row === null ? "not chosen" : `case ${row + 1}`);
    const input = el("input", { type: "range", min: 0, max: 1, step: 0.01, value: this.at, "aria-label": "From case A to case B" });
    input.addEventListener("input", () => {
      this.at = Number(input.value);
      this.slide();
    });
    return [el("div", { class: "row" }, el("span", {}, `A: ${name(this.a)}`), input, el("span", {}, `B: ${name(this.b)}`), this.mixed.figure)];
  }

  slide() {
    if (this.a === null || this.b === null) {
      return;
    }
    say(this.mixed.caption, `${Math.round(100 * (1 - this.at))} % A, ${Math.round(100 * this.at)} % B`);
    const { base, moves, ...rest } = this.place();
    this.single.ask({ a: this.a, b: this.b, at: this.at, ...rest });
  }

  drawStrip(found) {
    this.draw(found, found.n, "nine");
  }

  grid() {
    const { order } = this.cases.table.walk;
    const choose = (title, chosen) => el("select", { "aria-label": title, onchange: () => this.refresh() },
      ...order.slice(0, 24).map((direction, n) => el("option", { value: direction, selected: n === chosen }, `Direction ${n + 1}`)));
    this.across = choose("Changes to the right", 0);
    this.up = choose("Changes upwards", Math.min(1, order.length - 1));
    return [el("div", { class: "row" }, el("label", {}, "To the right: ", this.across), el("label", {}, "Upwards: ", this.up), el("span", { class: "quiet" }, "from -3 to +3 standard deviations"))];
  }

  samples() {
    const again = () => {
      this.seed += 1;
      this.refresh();
    };
    return [el("div", { class: "row" }, el("button", { type: "button", onclick: again }, "Others"), el("span", { class: "quiet" }, "None of these is a patient."))];
  }

  draw(found, columns, name) {
    if (!this.sheet.classList.contains({ nine: "between", grid: "grid", made: "samples" }[name])) {
      return; // another tab has been opened meanwhile
    }
    this.sheet.style.setProperty("--columns", columns);
    const canvases = Array.from({ length: found.n }, (_, n) => {
      const canvas = el("canvas", {});
      paint(canvas, found, n);
      return canvas;
    });
    this.sheet.replaceChildren(...canvases);
    say(this.state, "");
  }
}
