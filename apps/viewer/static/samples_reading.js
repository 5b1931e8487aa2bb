/** "Can you tell them apart?": one image at a time, by keyboard alone, and nothing told before the end. */

import { el, say } from "./dom.js";
import { paint } from "./explore_pictures.js";
import { askTurn } from "./samples_ask.js";

const WORDS = ["surely real", "probably real", "perhaps real", "perhaps synthetic", "probably synthetic", "surely synthetic"];
const KEYS = { 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, r: 2, s: 5 };

export class Reading {
  constructor(parent) {
    this.root = el("div", { class: "explore samples reading", tabindex: -1 });
    this.listen = (event) => this.key(event);
    window.addEventListener("keydown", this.listen, true); // first of all: Streamlit has keys of its own, R among them
    parent.append(this.root);
    window.medudlReading = this; // for tests
  }

  update(data) {
    this.root.style.height = data.height;
    if (data.id === this.id && data.key === this.version && (this.place !== undefined || this.ended)) {
      return; // a test is under way: nothing may disturb it
    }
    [this.id, this.version] = [data.id, data.key];
    this.start(data);
  }

  start(data) {
    const { trouble, choices, readers } = data;
    Object.assign(this, { data, place: undefined, ended: false });
    this.root.style.setProperty("--ratio", data.ratio);
    this.state = el("p", { class: "problem", role: "alert" });
    if (trouble) {
      this.root.replaceChildren(el("p", { class: "state" }, trouble));
      return;
    }
    this.name = el("input", { type: "text", maxlength: 60, autocomplete: "off", spellcheck: "false", "aria-label": "Your name" });
    this.many = el("select", { "aria-label": "Number of images" }, ...choices.map((n) => el("option", { value: n, selected: n === 60 || choices.length === 1 }, `${n} images`)));
    const begun = readers.map(({ name, done, of }) => el("button", { type: "button", onclick: () => this.begin(name, of) }, `${name}: ${done < of ? `go on at image ${done + 1} of ${of}` : "see the result"}`));
    const form = el("form", { onsubmit: (event) => { event.preventDefault(); this.begin(this.name.value, Number(this.many.value)); } },
      el("label", {}, "Your name ", this.name), this.many, el("button", { type: "submit", class: "go" }, "Begin"));
    this.root.replaceChildren(el("div", { class: "before" },
      el("h3", {}, "Can you tell them apart?"),
      el("p", {}, "You see one image at a time. Half of them are real images of patients that the model was not trained on, half are synthetic, in random order. All have the same size and the same grey scale. Say for each how sure you are:"),
      el("div", { class: "scale" }, ...WORDS.map((word, n) => el("span", {}, el("kbd", {}, String(n + 1)), ` ${word}`))),
      el("p", {}, el("kbd", {}, "R"), " stands for 2, ", el("kbd", {}, "S"), " for 5; ", el("kbd", {}, "U"), " takes the last answer back. Each answer is kept at once: you may stop at any time and go on later under the same name. Whether you were right is told at the end alone."),
      el("p", { class: "quiet" }, "For a fair test, do not look at the gallery first."),
      form, this.state, begun.length ? el("div", { class: "begun" }, el("h4", {}, "Begun already"), ...begun) : ""));
    this.name.focus();
  }

  begin(reader, n) {
    this.reader = reader;
    this.send({ do: "begin", n });
  }

  /** Ask for the next image; one question at a time, so that no key counts twice. */
  async send(turn) {
    if (this.busy) {
      return;
    }
    this.busy = true;
    try {
      this.show(await askTurn(this.id, { reader: this.reader, ...turn }));
    } catch (error) {
      say(this.state, error.message);
    }
    this.busy = false;
  }

  show(found) {
    const { place, of, told } = found.about;
    if (told) {
      this.end(found);
      return;
    }
    if (this.place === undefined) {
      this.stage();
    }
    this.place = place;
    say(this.count, `Image ${place + 1} of ${of}`);
    this.bar.max = of;
    this.bar.value = place;
    this.back.disabled = place === 0;
    say(this.state, "");
    paint(this.canvas, found);
    this.since = performance.now();
    this.root.focus();
  }

  stage() {
    this.count = el("h3", {});
    this.bar = el("progress", { "aria-label": "Progress" });
    this.canvas = el("canvas", { class: "judged", "aria-label": "The image to be judged" });
    this.back = el("button", { type: "button", onclick: () => this.send({ do: "undo" }) }, el("kbd", {}, "U"), " undo");
    const choices = WORDS.map((word, n) => el("button", { type: "button", onclick: () => this.judge(n + 1) }, el("kbd", {}, String(n + 1)), ` ${word}`));
    this.root.replaceChildren(el("div", { class: "stage" }, el("div", { class: "head" }, this.count, this.bar, this.back), this.canvas, el("div", { class: "scale" }, ...choices), this.state));
  }

  judge(rating) {
    this.send({ do: "answer", place: this.place, rating, seconds: (performance.now() - this.since) / 1000 });
  }

  key(event) {
    if (this.place === undefined || event.ctrlKey || event.metaKey || event.altKey || event.repeat) {
      return;
    }
    const name = event.key.toLowerCase();
    if (name in KEYS || name === "u") {
      event.preventDefault();
      event.stopPropagation();
      name === "u" ? this.send({ do: "undo" }) : this.judge(KEYS[name]);
    }
  }

  end(found) {
    const { told, mistaken, reader, of, others } = found.about;
    this.place = undefined;
    this.ended = true;
    const wrong = mistaken.map((kind, n) => {
      const canvas = el("canvas", {});
      paint(canvas, found, n);
      return el("figure", {}, canvas, el("figcaption", {}, kind === "real" ? "was real" : "was synthetic"));
    });
    this.root.replaceChildren(el("div", { class: "before after" }, el("h3", {}, `${reader}: ${of} images`), ...told.map((line) => el("p", {}, line)),
      el("p", { class: "quiet" }, "AUC: how often a synthetic image got a more synthetic answer than a real one; .5 is chance, 1 tells all apart. In brackets the 95 % interval; it takes the images as independent."),
      wrong.length ? el("h4", {}, "Taken for the other kind") : "", el("div", { class: "wrong" }, ...wrong),
      mistaken.includes("real") ? el("p", { class: "warning" }, "⚠ What was real here is a patient's image.") : "",
      others.length ? el("p", {}, `Other readers, AUC: ${others.join("; ")}.`) : "",
      el("div", { class: "row" }, el("button", { type: "button", onclick: () => this.another(reader, of) }, "Another reader"))));
  }

  another(name, of) {
    const readers = [...this.data.readers.filter((one) => one.name !== name), { name, done: of, of }];
    this.start({ ...this.data, readers });
  }

  dispose() {
    window.removeEventListener("keydown", this.listen, true);
    this.root.remove();
  }
}
