/** Three models side by side that differ in their goal alone: redraw only, order only, both. Digits, or three runs. */

import { el, say } from "./dom.js";
import { askJson, askPictures } from "./explore_ask.js";
import { classes, flat } from "./explore_cloud.js";
import { keyOf } from "./explore_colours.js";
import { paint } from "./explore_pictures.js";
import { Watch } from "./explore_watch.js";

const GOALS = {
  reconstruction: ["Redraw only", "Each picture gets an exact place of its own, and the cloud becomes as wide and ragged as it likes. Places picked at random miss most of it: what they make is one-sided, or nothing real."],
  kl: ["Order only", "All pictures fall on one another: the cloud is round, but a place says nothing about a picture, and all that is made looks alike."],
  elbo: ["Both", "Pictures that look alike lie together, and the cloud has no large gaps: a place picked at random makes a believable picture."],
};
const SIDE = 8; // pixels of a digit
const PRIOR = 2; // standard deviations: where nearly all places picked at random fall
const ACROSS = 8; // made pictures in a row
const PREFERRED = ["label", "contrast", "modality", "cluster"];

export class Triple {
  constructor(parent) {
    this.root = el("div", { class: "explore" });
    this.state = el("p", { class: "quiet", "aria-live": "polite" });
    this.progress = el("progress", { max: 1, value: 0, hidden: true, "aria-label": "Progress" });
    this.panels = el("div", { class: "panels" });
    this.parts = Object.fromEntries(Object.entries(GOALS).map(([goal, [title, sentence]]) => {
      const part = { cloud: el("canvas", { class: "plot" }), made: el("canvas", { class: "made", width: 1, height: 1 }), facts: el("p", {}) };
      part.element = el("section", { "data-goal": goal }, el("h3", {}, title), part.cloud, el("p", { class: "quiet" }, "Pictures made at places picked at random (nearly all of them in the ring):"), part.made, part.facts, el("p", { class: "quiet" }, sentence));
      this.panels.append(part.element);
      return [goal, part];
    }));
    this.root.append(el("div", { class: "toy" }, this.progress, this.state, this.panels));
    parent.append(this.root);
    window.medudlTriple = this; // for tests
    this.watch = new Watch("pictures", (told) => this.show(told), (sentence) => say(this.state, sentence));
  }

  update(data) {
    this.root.style.height = data.height;
    if (!data.maps.length) {
      this.maps = "";
      this.watch.follow(data.began);
    } else if (this.maps !== JSON.stringify(data.maps)) {
      this.maps = JSON.stringify(data.maps);
      this.watch.dispose();
      this.progress.hidden = true;
      say(this.state, "");
      this.panels.hidden = false;
      data.maps.forEach((map) => this.load(map));
    }
  }

  show(told) {
    this.progress.hidden = !told.running;
    this.progress.value = (told.done ?? 0) / (told.total ?? 1);
    const waits = told.running ? "Starting, which takes some seconds." : "Press the button on the left.";
    say(this.state, told.problem || (told.labels ? (told.running ? "Learning, one after the other." : "") : waits));
    this.panels.hidden = !told.labels;
    for (const [goal, part] of Object.entries(this.parts)) {
      if (told[goal]) {
        const colours = classes(told.labels);
        flat(part.cloud, told[goal].code, colours, (n) => told.labels[n] >= 8, PRIOR);
        paint(part.made, joined(told[goal].samples));
        say(part.facts, `A pixel of a redrawn digit is off by ${Math.round(told[goal].error * 100)} % of its range.`);
      } else {
        part.cloud.width = part.made.width = 1;
        say(part.facts, "");
      }
    }
  }

  async load({ goal, id, key, problem }) {
    const part = this.parts[goal];
    try {
      if (problem) {
        throw new Error(problem);
      }
      const table = await askJson(id, "table", { key });
      const column = PREFERRED.map((name) => table.columns.find((one) => one.name === name)).find(Boolean) ?? null;
      const marks = keyOf(column, table.n);
      const { points } = await askJson(id, "cloud", { key });
      flat(part.cloud, points, [...marks.of].map((n) => marks.marks[n].colour), undefined, PRIOR);
      say(part.facts, column ? `Coloured by ${column.title.toLowerCase()}: ${marks.legend.map((one) => one.name).join(", ")}.` : "");
      const made = await askPictures(id, "samples", { count: 2 * ACROSS, seed: 0, key });
      paint(part.made, joined(Array.from({ length: made.n }, (_, n) => made.data.subarray(n * made.h * made.w, (n + 1) * made.h * made.w)), made.h, made.w));
    } catch (error) {
      say(part.facts, error.message);
    }
  }

  dispose() {
    this.watch.dispose();
    this.root.remove();
  }
}

/** Pictures in rows of ACROSS as one picture, with a dark line between. */
export function joined(pictures, h = SIDE, w = SIDE) {
  const down = Math.ceil(pictures.length / ACROSS);
  const [height, width] = [down * (h + 1), ACROSS * (w + 1)];
  const data = new Uint8Array(height * width);
  pictures.forEach((picture, n) => {
    const [top, left] = [Math.floor(n / ACROSS) * (h + 1), (n % ACROSS) * (w + 1)];
    for (let row = 0; row < h; row += 1) {
      data.set(picture.slice(row * w, (row + 1) * w), (top + row) * width + left);
    }
  });
  return { data, h: height, w: width };
}
