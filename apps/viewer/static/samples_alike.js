/** Beside what the model draws now: the nearest training case and the copy-risk light, asked for once it stands still. */

import { el, say } from "./dom.js";
import { Newest } from "./explore_ask.js";
import { framed, paint } from "./explore_pictures.js";
import { RISKS } from "./samples_risk.js";

const STILL = 350; // ms without a change, after which a drawing is compared
const AGAIN = 1500; // ms between two looks at images that are being read

/** A light: symbol and word, or the symbol alone. */
export function light(risk, small = false) {
  const { symbol, word, colour, means } = RISKS[risk];
  return el("span", { class: "light", style: `--c: ${colour}`, title: `${word}: ${means}`, role: small ? "img" : null, "aria-label": small ? word : null }, small ? symbol : `${symbol} ${word}`);
}

/** Compares drawings, the newest alone. ask(query): pictures; show(items, found): what came; tell(sentence). */
export class Comparing {
  constructor(ask, { show, tell }) {
    Object.assign(this, { show, tell, timer: 0, later: 0 });
    this.newest = new Newest(ask, (found, query) => this.answered(found, query), (error) => tell(error.message));
  }

  get busy() {
    return this.newest.busy || Boolean(this.timer);
  }

  /** Compare this drawing as soon as nothing changes any more; what was said of the one before is taken away. */
  ask(query) {
    this.cancel();
    this.show(null);
    this.tell("Comparing with the training images");
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.newest.ask(query);
    }, STILL);
  }

  cancel() {
    clearTimeout(this.timer);
    clearTimeout(this.later);
    this.timer = 0;
    this.newest.cancel();
  }

  answered(found, query) {
    const { building, why, items, note } = found.about;
    if (building) {
      this.tell(building);
      this.later = setTimeout(() => this.newest.ask(query), AGAIN);
      return;
    }
    this.tell(why ?? note);
    if (items) {
      this.show(items, found);
    }
  }
}

/** The nearest training image of one drawing, large, and in words how alike they are. */
export class Nearest {
  constructor(ask) {
    this.frame = framed("", "large real");
    this.light = el("p", { class: "verdict", "aria-live": "polite" });
    this.words = el("div", { class: "words" });
    this.state = el("p", { class: "quiet", "aria-live": "polite" });
    this.warning = el("p", { class: "warning", hidden: true });
    this.element = el("div", { class: "nearest" }, this.light, this.words, this.state, this.warning);
    this.frame.figure.hidden = true;
    this.comparing = new Comparing(ask, { show: (items, found) => this.show(items, found), tell: (line) => say(this.state, line) });
    this.at = 0; // which of the drawings that are asked about
  }

  /** at: number of the drawing that is shown beside, of those that the question is about. */
  ask(query, at = 0) {
    this.at = at;
    this.comparing.ask(query);
  }

  show(items, found) {
    this.items = items;
    this.frame.figure.hidden = this.warning.hidden = !items;
    this.light.replaceChildren();
    this.words.replaceChildren();
    if (!items) {
      return;
    }
    const { risk, case: name, told } = items[this.at];
    paint(this.frame.canvas, found, this.at);
    say(this.frame.caption, `Nearest real image: ${name}`);
    say(this.warning, `\u26a0 ${found.about.warning}`);
    if (risk) {
      this.light.append(light(risk), el("span", { class: "quiet" }, ` ${RISKS[risk].means}`));
    }
    this.words.append(...told.map((line) => el("p", {}, line)));
    this.shown = (this.shown ?? 0) + 1;
  }

  cancel() {
    this.comparing.cancel();
  }

  /** Nothing is drawn. */
  clear() {
    this.cancel();
    this.show(null);
    say(this.state, "");
  }
}
