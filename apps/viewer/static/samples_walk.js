/** Walk and arithmetic: pictures that the model draws between samples, along directions, and from sums of concepts. */

import { el, say } from "./dom.js";
import { Newest } from "./explore_ask.js";
import { framed, paint } from "./explore_pictures.js";
import { signed } from "./explore_walk.js";
import { Comparing, Nearest, light } from "./samples_alike.js";
import { askJson, askPictures } from "./samples_ask.js";
import { Sum } from "./samples_sum.js";

const TABS = { between: "Between two samples", along: "Along directions", sum: "Arithmetic" };
const SHELF = 60;
const DIRECTIONS = 8;

export class Walking {
  constructor(parent) {
    this.root = el("div", { class: "explore samples" });
    parent.append(this.root);
    Object.assign(this, { tab: "between", ends: [0, 1], next: 0, at: 0.5, moves: new Map(), answered: 0 });
    window.medudlWalking = this; // for tests
  }

  async update(data) {
    this.root.style.height = data.height;
    if (data.id === this.id && data.key === this.key) {
      return;
    }
    [this.id, this.key] = [data.id, data.key];
    [this.conditions, this.asked] = [data.conditions ?? [], new Map()];
    if (data.model) {
      this.root.replaceChildren(el("p", { class: "state" }, data.model));
      return;
    }
    try {
      this.table = await askJson(data.id, "table", { key: data.key });
      await this.build();
    } catch (error) {
      this.root.replaceChildren(el("p", { class: "state" }, error.message));
    }
  }

  async build() {
    const { ratio, n } = this.table;
    this.root.style.setProperty("--ratio", ratio);
    this.state = el("p", { class: "quiet", "aria-live": "polite" });
    const fail = (error) => say(this.state, error.message);
    const ask = (what) => (query) => askPictures(this.id, what, { ...query, ...this.wish(), key: this.key });
    this.strip = new Newest(ask("between"), (found) => this.drawStrip(found), fail);
    this.single = new Newest(ask("between"), (found) => this.drawOne(found), fail);
    this.moved = new Newest(ask("along"), (found) => this.drawOne(found), fail);
    this.near = new Nearest(ask("alike"));
    this.lights = new Comparing(ask("alike"), { show: (items) => this.light(items), tell: () => {} });
    this.sum = new Sum(ask("mix"), new Nearest(ask("alike")), (rows) => this.press(rows), (line) => say(this.state, line));
    const rows = [...Array(Math.min(n, SHELF)).keys()];
    const small = await askPictures(this.id, "pictures", { rows: rows.join(), side: 96, key: this.key });
    this.shelf = el("div", { class: "shelf" }, ...rows.map((row) => {
      const canvas = el("canvas", {});
      paint(canvas, small, row);
      return el("button", { type: "button", "data-row": row, title: ["Choose sample", row + 1, this.table.samples[row].condition].join(" "), onclick: () => this.choose(row) }, canvas, el("span", { class: "mark" }, String(row + 1)), this.kind(row));
    }));
    this.tabs = el("nav", { class: "tabs" });
    this.body = el("div", { class: "body" });
    this.root.replaceChildren(this.tabs, this.shelf, el("div", { class: "walking" }, ...this.wishes(), this.body, this.state,
      el("p", { class: "quiet" }, `What the model draws here is no patient and shows nothing that was measured. Of real images of new patients ${Math.round(100 * this.table.alpha)} % light up by chance; on a walk many pictures are looked at.`)));
    this.show("between");
  }

  show(tab) {
    this.tab = tab;
    [this.near, this.lights, this.sum.near].forEach((one) => one.cancel());
    this.tabs.replaceChildren(...Object.entries(TABS).map(([name, title]) => el("button", { type: "button", role: "tab", "aria-selected": String(name === tab), onclick: () => this.show(name) }, title)));
    say(this.state, this.answered ? "" : "Starting the model, which takes some seconds the first time.");
    this.drawn = framed("", "large");
    this.sheet = el("div", { class: "wide" });
    this.body.replaceChildren(...{ between: () => this.between(), along: () => this.along(), sum: () => this.sum.parts() }[tab]());
    this.again();
  }

  /** Of models that are told one thing: what this sample was drawn with. */
  kind(row) {
    const value = this.table.samples[row].condition.split("=")[1];
    return this.conditions.length === 1 && value ? el("span", { class: "quiet kind" }, value) : null;
  }

  /** What the model is asked for, whatever the samples were: for a question. */
  wish() {
    const asked = [...this.asked].filter(([, value]) => value !== "").map(([name, value]) => `${name}=${value}`);
    return asked.length ? { asked: asked.join(";") } : {};
  }

  /** A row to ask for a class or a number, of models that are told some. */
  wishes() {
    const turn = (name) => (event) => {
      this.asked.set(name, event.target.value);
      this.again();
    };
    const field = ({ name, values, low, high }) => {
      const input = values.length
        ? el("select", { onchange: turn(name) }, el("option", { value: "" }, "as in the samples"), ...values.map((value) => el("option", { value }, value)))
        : el("input", { type: "number", min: low, max: high, step: "any", placeholder: "as in the samples", onchange: turn(name) });
      return el("label", {}, el("span", {}, `${name.replaceAll("_", " ")} `), input);
    };
    return this.conditions.length ? [el("div", { class: "row wishes" }, "Draw with", ...this.conditions.map(field))] : [];
  }

  /** Ask anew for what is shown. */
  again() {
    ({ between: () => this.ask(), along: () => this.move(), sum: () => this.sum.refresh() })[this.tab]();
  }

  between() {
    const input = el("input", { type: "range", min: 0, max: 1, step: 0.01, value: this.at, "aria-label": "From sample A to sample B", oninput: () => {
      this.at = Number(input.value);
      this.slide();
    } });
    this.marks();
    return [el("p", {}, "Click two samples above: the first becomes A, the second B."), el("div", { class: "row" }, "A", input, "B"), el("div", { class: "pair" }, this.drawn.figure, this.near.frame.figure, this.near.element), this.sheet];
  }

  along() {
    this.marks();
    const slider = (n) => {
      const value = el("output", {}, signed(this.moves.get(n) ?? 0));
      const input = el("input", { type: "range", min: -3, max: 3, step: 0.05, value: this.moves.get(n) ?? 0, "aria-label": `Direction ${n + 1}`, oninput: () => {
        this.moves.set(n, Number(input.value));
        say(value, signed(Number(input.value)));
        this.move();
      } });
      return el("label", {}, el("span", {}, `Direction ${n + 1}`), input, value);
    };
    const reset = () => {
      this.moves.clear();
      this.show("along");
    };
    const many = Math.min(DIRECTIONS, this.table.codes);
    return [el("p", {}, "Click a sample above to start from. A direction is a way in which these samples differ, the strongest first; the ends of a slider are three standard deviations away."),
      el("div", { class: "pair" }, el("div", { class: "sliders" }, ...[...Array(many).keys()].map(slider), el("button", { type: "button", onclick: reset }, "All sliders to the middle")), this.drawn.figure, this.near.frame.figure, this.near.element)];
  }

  choose(row) {
    if (this.tab === "sum") {
      this.sum.choose(row);
      return;
    }
    if (this.tab === "along") {
      this.ends[0] = row;
      this.move();
    } else {
      this.ends[this.next] = row;
      this.next = 1 - this.next;
      this.ask();
    }
    this.marks();
  }

  marks() {
    const names = this.tab === "between" ? ["A", "B"] : ["Start"];
    this.press(Object.fromEntries(names.map((name, n) => [name, [this.ends[n]]])));
  }

  /** groups: { name: rows }: mark the chosen samples on the shelf. */
  press(groups) {
    for (const button of this.shelf.children) {
      const row = Number(button.dataset.row);
      const named = Object.keys(groups).filter((name) => groups[name].includes(row));
      button.setAttribute("aria-pressed", String(named.length > 0));
      say(button.querySelector(".mark"), named.length ? named.join(" ") : String(row + 1));
    }
  }

  ask() {
    this.slide();
    const ends = { a: this.ends[0], b: this.ends[1] };
    this.strip.ask(ends);
    this.lights.ask({ of: "between", ...ends });
  }

  slide() {
    say(this.drawn.caption, `${Math.round(100 * (1 - this.at))} % A, ${Math.round(100 * this.at)} % B`);
    const query = { a: this.ends[0], b: this.ends[1], at: this.at };
    this.single.ask(query);
    this.near.ask({ of: "between", ...query });
  }

  move() {
    const moves = [...this.moves].filter(([, far]) => far).map(([n, far]) => `${n}:${far}`).join(",");
    say(this.drawn.caption, `Drawn by the model from sample ${this.ends[0] + 1}`);
    const query = { from: this.ends[0], moves };
    this.moved.ask(query);
    this.near.ask({ of: "along", ...query });
  }

  drawOne(found) {
    paint(this.drawn.canvas, found);
    this.answered += 1;
    say(this.state, "");
  }

  drawStrip(found) {
    this.sheet.style.setProperty("--columns", found.n);
    this.sheet.replaceChildren(...Array.from({ length: found.n }, (_, n) => {
      const canvas = el("canvas", {});
      paint(canvas, found, n);
      return el("div", {}, canvas, el("p", { class: "lit" }));
    }));
    this.light(this.risks);
  }

  /** Mark what of the strip may be a copy. items: null while that is not known. */
  light(items) {
    this.risks = items;
    [...this.sheet.querySelectorAll(".lit")].forEach((place, n) => place.replaceChildren(...(items?.[n]?.risk ? [light(items[n].risk, true)] : [])));
  }

  dispose() {
    [this.strip, this.single, this.moved, this.near, this.lights, this.sum?.near].forEach((one) => one?.cancel());
    this.root.remove();
  }
}
