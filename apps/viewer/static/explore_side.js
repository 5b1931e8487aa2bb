/** The side of the map: thumbnails of what was chosen, and one case with its facts, neighbours and near copies. */

import { el, say } from "./dom.js";
import { askJson, askPictures, Newest } from "./explore_ask.js";
import { tally } from "./explore_colours.js";
import { framed, paint, thumbs } from "./explore_pictures.js";
import { spread } from "./explore_space.js";

export const MOST = 60; // thumbnails shown of a choice
const SIDE = 64; // pixels of a thumbnail
const HELP = "Draw around some points to see their pictures. Click on a point to open the case. The wheel zooms; the right button moves the map.";

export class Side {
  /** on: { open(row), light(row), toWalk(how, row), choose(rows) } */
  constructor(parent, cases, on) {
    Object.assign(this, { cases, on, column: null, rows: [], turn: 0, drawn: 0 });
    this.case = el("section", { class: "case", hidden: true });
    this.title = el("h3", {});
    this.count = el("p", { class: "quiet" });
    this.sheet = el("div", { class: "sheet" });
    this.others = el("button", { type: "button", hidden: true, onclick: () => this.more() }, "Show others");
    this.clear = el("button", { type: "button", hidden: true, onclick: () => on.choose([]) }, "Clear");
    this.element = el("aside", { class: "side" }, this.case,
      el("section", { class: "chosen" }, el("div", { class: "head" }, this.title, this.others, this.clear), this.count, this.sheet));
    parent.append(this.element);
    const key = cases.table.key;
    this.asking = new Newest(
      (rows) => askPictures(cases.id, "thumbnails", { rows: rows.join(","), side: SIDE, key }),
      (pictures, rows) => this.showSheet(pictures, rows),
      (error) => say(this.count, error.message),
    );
    this.opening = new Newest((row) => this.load(row), (found, row) => this.showCase(found, row), (error) => this.failed(error));
    this.choose([]);
  }

  choose(rows) {
    this.rows = rows;
    this.turn = 0;
    this.asking.cancel();
    this.others.hidden = rows.length <= MOST;
    this.clear.hidden = !rows.length;
    this.sheet.replaceChildren();
    this.recount();
    if (rows.length && this.cases.table.picture) {
      this.asking.ask(spread(rows, MOST));
    }
  }

  more() {
    this.turn += 1;
    this.asking.ask(spread(this.rows, MOST, this.turn));
  }

  recount() {
    const { length } = this.rows;
    say(this.title, length ? `${length.toLocaleString("en")} chosen` : "Nothing chosen yet");
    const shown = length > MOST ? `${MOST} of them are shown, spread evenly. ` : "";
    say(this.count, length ? shown + tally(this.column, this.rows) : HELP);
  }

  showSheet(pictures, rows) {
    this.sheet.replaceChildren(...thumbs(pictures, rows, { open: this.on.open, hover: this.on.light, leave: () => this.on.light(-1) }));
    this.drawn = performance.now(); // for the benchmark
  }

  open(row) {
    this.case.inert = true; // its buttons are those of the case before, until this one has come
    this.opening.ask(row);
  }

  async load(row) {
    const { id, table } = this.cases;
    const { key } = table;
    const told = await askJson(id, "case", { row, key });
    const wanted = [row, ...told.neighbours.rows, ...told.copies].slice(0, MOST);
    const own = table.picture ? await askPictures(id, "thumbnails", { rows: row, side: 256, key }) : null;
    const expected = table.expected ? await askPictures(id, "thumbnails", { rows: row, side: 256, kind: "expected", key }) : null;
    const others = table.picture && wanted.length > 1 ? await askPictures(id, "thumbnails", { rows: wanted.join(","), side: SIDE, key }) : null;
    return { told, own, expected, others };
  }

  failed(error) {
    this.case.hidden = this.case.inert = false;
    this.case.replaceChildren(el("p", { class: "problem" }, error.message));
  }

  showCase({ told, own, expected, others }, row) {
    const near = told.neighbours.rows;
    this.case.hidden = this.case.inert = false;
    this.case.replaceChildren(el("div", {},
      el("div", { class: "head" }, el("h3", {}, told.patient),
        told.link ? el("a", { href: new URL(`/${told.link}`, document.baseURI).href, target: "_blank", rel: "noopener" }, "Open the scan") : null,
        el("button", { type: "button", title: "Close this case", onclick: () => this.close() }, "\u00d7")),
      this.pictures(own, expected),
      el("dl", {}, ...told.facts.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
      this.sure(told.uncertainty),
      this.strip("Most similar cases of other scans", others, [...near.keys()].map((n) => n + 1), near, told.neighbours.far),
      this.strip(`Near copies of this picture (${told.copies.length})`, others, [...told.copies.keys()].map((n) => n + 1 + near.length), told.copies),
      this.ways(row),
    ));
    this.element.scrollTop = 0;
  }

  close() {
    this.case.hidden = true;
    this.case.replaceChildren();
    this.on.light(-1);
  }

  pictures(own, expected) {
    const made = (title, pictures) => {
      const { figure, canvas } = framed(title);
      paint(canvas, pictures);
      return figure;
    };
    return el("div", { class: "pair" }, own && made("Picture", own), expected && made("As the model expects it", expected));
  }

  sure(told) {
    if (!told) {
      return null;
    }
    const bar = (share, n) => el("i", { title: `Direction ${n + 1}: ${Math.round(share * 100)} % of the spread of all cases`, style: `height: ${Math.max(4, Math.min(share, 1) * 100)}%` });
    return el("div", { class: "sure" }, el("p", {}, told.sentence), el("div", { class: "bars", "aria-hidden": "true" }, ...told.bars.map(bar)),
      el("p", { class: "quiet" }, "One bar a direction: full height means that the model cannot tell."));
  }

  strip(title, pictures, places, rows, far = []) {
    const fitting = rows.filter((_, n) => pictures && places[n] < pictures.n);
    if (!fitting.length) {
      return null;
    }
    const { h, w } = pictures;
    const picked = { h, w, data: new Uint8Array(fitting.length * h * w) };
    fitting.forEach((_, n) => picked.data.set(pictures.data.subarray(places[n] * h * w, (places[n] + 1) * h * w), n * h * w));
    return el("div", { class: "strip" }, el("h4", {}, title), el("div", { class: "sheet small" }, ...thumbs(picked, fitting, {
      words: (_, n) => (far[n] === undefined ? "" : String(far[n])), open: this.on.open, hover: this.on.light, leave: () => this.on.light(-1),
    })), far.length ? el("p", { class: "quiet" }, "Below each: its distance. The smaller, the more alike to the model.") : null);
  }

  ways(row) {
    if (this.cases.model) {
      return null;
    }
    const button = (how, title) => el("button", { type: "button", onclick: () => this.on.toWalk(how, row) }, title);
    return el("div", { class: "ways" }, button("from", "Walk from here"), button("a", "Use as case A"), button("b", "Use as case B"));
  }
}
