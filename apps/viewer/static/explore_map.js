/** The map: points with their colours and legend, a thumbnail under the pointer, and at the side what was chosen. */

import { el, say } from "./dom.js";
import { askPictures, Newest } from "./explore_ask.js";
import { keyOf } from "./explore_colours.js";
import { paint } from "./explore_pictures.js";
import { Scatter } from "./explore_scatter.js";
import { Side } from "./explore_side.js";

const TOOLS = { lasso: ["Lasso", "Draw around cases to see them"], box: ["Box", "Draw a box around cases"], move: ["Move", "Drag the map; the wheel zooms"] };
const HOVER_SIDE = 128;

export class CaseMap {
  /** cases: { id, table, model }; toWalk("from" | "a" | "b", row). */
  constructor(parent, cases, toWalk) {
    this.cases = cases;
    const { table } = cases;
    this.bar = el("div", { class: "bar" });
    this.legend = el("div", { class: "legend", "aria-label": "What the colours mean" });
    this.note = el("p", { class: "note" });
    this.card = el("div", { class: "card", hidden: true }, el("canvas", {}), el("span", {}));
    const left = el("div", { class: "left" }, this.bar);
    this.element = el("div", { class: "split" }, left);
    parent.append(this.element);
    this.side = new Side(this.element, cases, {
      open: (row) => this.open(row), light: (row) => this.scatter.show({ lit: row }), toWalk, choose: (rows) => this.choose(rows),
    });
    this.scatter = new Scatter(left, {
      hover: (row, x, y) => this.hover(row, x, y), open: (row) => this.open(row), choose: (rows) => this.choose(rows),
    });
    this.scatter.element.append(this.card);
    left.append(this.legend, this.note);
    this.hovering = new Newest(
      (row) => askPictures(cases.id, "thumbnails", { rows: row, side: HOVER_SIDE, key: table.key }),
      (pictures) => { paint(this.card.firstChild, pictures); this.card.classList.add("there"); },
      () => this.card.classList.remove("there"),
    );
    this.build();
  }

  build() {
    const { table } = this.cases;
    const pick = (name, options, act) => el("label", {}, el("span", {}, name), el("select", { "aria-label": name, onchange: (event) => act(event.target.value) },
      ...options.map(([value, title]) => el("option", { value }, title))));
    this.bar.append(
      pick("Arranged by", table.projections.map((one) => [one.name, one.title]), (name) => this.arrange(name)),
      pick("Coloured by", [...table.columns.map((one) => [one.name, one.title]), ["", "nothing"]], (name) => this.colour(name)),
      el("span", { class: "tools" }, ...Object.entries(TOOLS).map(([tool, [title, help]]) => el("button", {
        type: "button", title: help, "data-tool": tool, onclick: () => this.use(tool),
      }, title))),
      el("button", { type: "button", title: "Show all cases (double click)", onclick: () => this.scatter.whole() }, "Whole map"),
    );
    this.use("lasso");
    this.colour(table.columns[0]?.name ?? "");
    if (table.projections.length) {
      this.arrange(table.projections[0].name);
    } else {
      say(this.note, "This folder holds no arrangement of the cases; make it again.");
    }
  }

  arrange(name) {
    const found = this.cases.table.projections.find((one) => one.name === name);
    say(this.note, found.note);
    this.scatter.place(found.x, found.y);
  }

  use(tool) {
    this.scatter.tool = tool;
    this.scatter.element.dataset.tool = tool;
    this.bar.querySelectorAll("[data-tool]").forEach((one) => one.setAttribute("aria-pressed", String(one.dataset.tool === tool)));
  }

  colour(name) {
    const { table } = this.cases;
    const column = table.columns.find((one) => one.name === name) ?? null;
    const key = keyOf(column, table.n);
    this.side.column = column;
    this.side.recount();
    this.scatter.colour(key);
    const swatch = (mark) => el("i", { class: `swatch ${mark.shape}`, style: `--c: ${mark.colour}` });
    const range = key.range ? [el("span", {}, figure(key.range[0])), el("i", { class: "ramp", style: `background: linear-gradient(90deg, ${key.marks.slice(0, -1).map((m) => m.colour).join(", ")})` }), el("span", {}, figure(key.range[1]))] : [];
    this.legend.replaceChildren(...range, ...key.legend.map((one) => el("span", {}, swatch(key.marks[one.mark]), `${one.name} (${one.count.toLocaleString("en")})`)));
  }

  choose(rows) {
    this.scatter.show({ chosen: rows });
    this.side.choose(rows);
  }

  open(row) {
    this.scatter.show({ opened: row, lit: -1 });
    this.side.open(row);
  }

  hover(row, x, y) {
    this.card.hidden = row < 0;
    this.hovering.cancel();
    this.card.classList.remove("there");
    if (row < 0) {
      return;
    }
    const wide = this.scatter.width;
    Object.assign(this.card.style, { left: x > wide - 170 ? `${x - 160}px` : `${x + 16}px`, top: `${Math.max(4, Math.min(y - 60, this.scatter.height - 170))}px` });
    const { column } = this.side;
    const value = column ? (column.kind === "number" ? figure(column.values[row]) : column.names[column.values[row]] ?? "not known") : "";
    say(this.card.lastChild, value);
    if (this.cases.table.picture) {
      this.hovering.ask(row);
    }
  }

  dispose() {
    this.scatter.dispose();
    this.element.remove();
  }
}

function figure(value) {
  return value === null ? "not known" : Number(value.toPrecision(3)).toString();
}
