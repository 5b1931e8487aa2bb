/** One sample, large: beside the nearest real image and their difference, with what the figures mean. */

import { el } from "./dom.js";
import { askPictures } from "./samples_ask.js";
import { framed, paint } from "./explore_pictures.js";
import { RISKS, difference } from "./samples_risk.js";

export class Opened {
  /** leave(row): back to the gallery. */
  constructor(parent, id, table, leave) {
    Object.assign(this, { id, table, leave, rows: [], at: 0 });
    this.element = el("div", { class: "opened", hidden: true, role: "dialog", "aria-label": "Sample", tabindex: -1 });
    this.element.addEventListener("keydown", (event) => this.key(event));
    this.title = el("h3", {});
    this.made = framed("Sample (synthetic)", "large");
    this.real = framed("", "large");
    this.apart = framed("Sample minus real image: dark the same, orange brighter, blue darker", "large");
    this.words = el("div", { class: "words" });
    const button = (word, title, act) => el("button", { type: "button", title, onclick: act }, word);
    const pair = table.nearest ? [this.real.figure, this.apart.figure] : [];
    this.element.append(
      el("div", { class: "head" }, this.title, button("◀", "Sample before (left arrow)", () => this.move(-1)), button("▶", "Next sample (right arrow)", () => this.move(1)), button("Back to all", "Escape", () => this.close())),
      el("div", { class: "pair" }, this.made.figure, ...pair), this.words,
      table.warning ? el("p", { class: "warning" }, "⚠ ", table.warning) : null);
    parent.append(this.element);
  }

  async show(rows, at) {
    Object.assign(this, { rows, at });
    const row = rows[at];
    const sample = this.table.samples[row];
    const { symbol, word, colour, means } = RISKS[sample.risk];
    this.title.replaceChildren(`Sample ${sample.name} `, el("span", { class: "light", style: `--c: ${colour}` }, `${symbol} ${word}`), el("span", { class: "quiet" }, ` ${means}`));
    this.real.caption.textContent = `Nearest real image: ${sample.case || "unknown"}`;
    this.words.replaceChildren(sample.condition ? el("p", {}, `Asked for: ${sample.condition}`) : "", ...sample.told.map((line) => el("p", {}, line)));
    this.element.hidden = false;
    this.element.focus();
    try {
      const ask = (kind) => askPictures(this.id, "pictures", { rows: row, kind, side: 1024, key: this.table.key });
      const [made, real] = await Promise.all(this.table.nearest ? [ask("samples"), ask("nearest")] : [ask("samples")]);
      if (this.rows[this.at] !== row) {
        return; // another one has been opened meanwhile
      }
      paint(this.made.canvas, made);
      if (real) {
        paint(this.real.canvas, real);
        coloured(this.apart.canvas, difference(made.data, real.data), made.h, made.w);
      }
      this.shown = row;
    } catch (error) {
      this.words.replaceChildren(el("p", { class: "problem" }, error.message));
    }
  }

  move(by) {
    const at = this.at + by;
    if (at >= 0 && at < this.rows.length) {
      this.show(this.rows, at);
    }
  }

  key(event) {
    const act = { ArrowLeft: () => this.move(-1), ArrowRight: () => this.move(1), Escape: () => this.close() }[event.key];
    if (act) {
      event.preventDefault();
      event.stopPropagation();
      act();
    }
  }

  close() {
    this.element.hidden = true;
    this.leave(this.rows[this.at]);
  }
}

function coloured(canvas, words, h, w) {
  Object.assign(canvas, { width: w, height: h });
  const image = new ImageData(w, h);
  new Uint32Array(image.data.buffer).set(words);
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0);
}
