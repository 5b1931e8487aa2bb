/** The gallery: all samples, each with its copy-risk light, and on demand the nearest real image below it. */

import { el, say } from "./dom.js";
import { askJson, askPictures } from "./samples_ask.js";
import { paint } from "./explore_pictures.js";
import { Opened } from "./samples_open.js";
import { RISKS, chosen } from "./samples_risk.js";

const AT_ONCE = 60;
const SIDE = 192;

export class Gallery {
  constructor(parent) {
    this.root = el("div", { class: "explore samples" });
    this.message = el("p", { class: "state" }, "Loading the samples");
    this.root.append(this.message);
    parent.append(this.root);
    window.medudlSamples = this; // for tests
  }

  async update(data) {
    this.root.style.height = data.height;
    if (data.id === this.id && data.key === this.key) {
      return;
    }
    [this.id, this.key] = [data.id, data.key];
    try {
      const table = await askJson(data.id, "table", { key: data.key });
      if (data.key === this.key) {
        this.build(table);
      }
    } catch (error) {
      this.root.replaceChildren(this.message);
      say(this.message, error.message);
    }
  }

  build(table) {
    Object.assign(this, { table, risk: "all", sort: table.checked ? "risk" : "made", near: false, many: AT_ONCE });
    this.root.style.setProperty("--ratio", table.ratio);
    this.filter = el("span", { class: "tools", role: "group", "aria-label": "Which samples" }, ...this.lights());
    this.order = el("select", { "aria-label": "Order", onchange: () => this.turn({ sort: this.order.value }) },
      el("option", { value: "risk", selected: table.checked }, "riskiest first"), el("option", { value: "made", selected: !table.checked }, "as they were made"));
    this.switch = el("input", { type: "checkbox", onchange: () => this.turn({ near: this.switch.checked, many: this.many }) });
    this.warning = el("p", { class: "warning", hidden: true }, "⚠ ", table.warning);
    this.grid = el("div", { class: "gallery" });
    this.more = el("button", { type: "button", class: "more", onclick: () => this.turn({ many: this.many + AT_ONCE }) }, "More");
    this.state = el("p", { class: "quiet", "aria-live": "polite" });
    this.opened = new Opened(this.root, this.id, table, (row) => this.grid.querySelector(`[data-row="${row}"]`)?.focus());
    const bar = el("div", { class: "bar" }, this.filter,
      table.checked ? el("label", {}, el("span", {}, "Order"), this.order) : null,
      table.nearest ? el("label", {}, this.switch, "Show the nearest real image below each") : null);
    const [first, ...rest] = table.about;
    const told = el("p", { class: "told" }, el("strong", {}, first), " ", rest[0] ?? "");
    const about = el("div", { class: "about" }, ...rest.slice(1).map((line) => el("p", { class: "quiet" }, line)));
    this.root.replaceChildren(bar, told, this.warning, el("div", { class: "scroll" }, this.grid, this.more, this.state, about), this.opened.element);
    this.draw();
  }

  lights() {
    const { counts, n, checked } = this.table;
    const light = (risk, children, title) => el("button", { type: "button", "data-risk": risk, title, "aria-pressed": String(this.risk === risk), onclick: () => this.turn({ risk }) }, ...children);
    const found = checked ? Object.entries(counts).map(([risk, many]) => light(risk, [el("span", { class: "light", style: `--c: ${RISKS[risk].colour}` }, `${RISKS[risk].symbol} ${RISKS[risk].word}`), ` ${many}`], `Images that are ${RISKS[risk].means}`)) : [];
    return [light("all", [`All ${n}`], "Every sample"), ...found];
  }

  turn(change) {
    Object.assign(this, { many: AT_ONCE }, change);
    this.warning.hidden = !this.near;
    this.filter.replaceChildren(...this.lights());
    this.draw();
  }

  async draw() {
    const rows = chosen(this.table.samples, this.risk, this.sort);
    const shown = rows.slice(0, this.many);
    const [turn, risk, near] = [(this.drawing = (this.drawing ?? 0) + 1), this.risk, this.near];
    this.more.hidden = rows.length <= shown.length;
    say(this.more, `More (${rows.length - shown.length} not shown)`);
    say(this.state, rows.length ? "" : `No sample is marked '${RISKS[risk]?.word}'.`);
    try {
      const parts = [];
      for (let at = 0; at < shown.length; at += AT_ONCE) {
        const part = shown.slice(at, at + AT_ONCE);
        const ask = (kind) => askPictures(this.id, "pictures", { rows: part.join(), kind, side: SIDE, key: this.table.key });
        parts.push(Promise.all([ask("samples"), near ? ask("nearest") : null]).then(([made, real]) => part.map((row, n) => this.card(row, rows, made, real, n))));
      }
      const cards = (await Promise.all(parts)).flat();
      if (turn === this.drawing) {
        this.grid.replaceChildren(...cards);
        this.drawn = shown;
      }
    } catch (error) {
      say(this.state, error.message);
    }
  }

  card(row, rows, made, real, n) {
    const sample = this.table.samples[row];
    const { symbol, word, colour } = RISKS[sample.risk];
    const one = (pictures, name) => {
      const canvas = el("canvas", { class: name });
      paint(canvas, pictures, n);
      return canvas;
    };
    const label = this.table.checked ? el("span", { class: "light", style: `--c: ${colour}` }, `${symbol} ${word}`) : el("span", {}, sample.name);
    return el("button", { type: "button", class: "sample", "data-row": row, title: `Sample ${sample.name}: open it`, onclick: () => this.opened.show(rows, rows.indexOf(row)) },
      one(made, "made"), label, real ? one(real, "real") : null, real ? el("span", { class: "quiet" }, `Real: ${sample.case}`) : null);
  }

  dispose() {
    this.drawing = -1;
    this.root.remove();
  }
}
