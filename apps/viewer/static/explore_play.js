/** The Swiss roll: in space, as a flat shadow, and as two numbers that an autoencoder learns while one watches. */

import { el, say } from "./dom.js";
import { flat, rising, solid } from "./explore_cloud.js";
import { Watch } from "./explore_watch.js";

const DRAG = 0.008; // radians a pixel

export class Play {
  constructor(parent) {
    this.root = el("div", { class: "explore" });
    this.angle = 0.6;
    this.state = el("p", { class: "quiet", "aria-live": "polite" });
    this.progress = el("progress", { max: 1, value: 0, "aria-label": "Progress" });
    const panel = (title, help) => {
      const canvas = el("canvas", { class: "plot" });
      const words = el("p", {});
      return { canvas, words, element: el("section", {}, el("h3", {}, title), canvas, words, el("p", { class: "quiet" }, help)) };
    };
    this.space = panel("The sheet in space", "Drag to turn it. The colour says how far along the sheet a point lies.");
    this.pca = panel("Its best flat shadow (PCA)", "A look from one side: points that lie behind each other fall together.");
    this.code = panel("Two numbers learnt by the model", "It may bend the sheet, and so loses less. It need not unroll it: it was asked to rebuild the points, and nothing else.");
    this.panels = el("div", { class: "panels" }, this.space.element, this.pca.element, this.code.element);
    this.root.append(el("div", { class: "toy" }, this.progress, this.state, this.panels));
    parent.append(this.root);
    window.medudlPlay = this; // for tests
    this.watch = new Watch("roll", (told) => this.show(told), (sentence) => say(this.state, sentence));
    this.space.canvas.style.cursor = "grab";
    this.space.canvas.addEventListener("pointermove", (event) => event.buttons && this.turn(event.movementX));
    this.space.canvas.addEventListener("pointerdown", (event) => this.space.canvas.setPointerCapture(event.pointerId));
    this.sizes = new ResizeObserver(() => this.draw());
    this.sizes.observe(this.space.canvas);
  }

  update(data) {
    this.root.style.height = data.height;
    this.watch.follow(data.began);
  }

  show(told) {
    this.told = told;
    this.progress.hidden = !told.running;
    this.progress.value = (told.done ?? 0) / (told.total ?? 1);
    const waits = told.running ? "Starting, which takes some seconds." : "Press the button on the left.";
    say(this.state, told.problem || (told.done === undefined ? waits : told.running ? `Learning: step ${told.done} of ${told.total}` : "Learnt."));
    this.panels.hidden = told.code === undefined;
    if (!this.panels.hidden) {
      this.colours = rising(told.along);
      this.words(told);
      this.draw();
    }
  }

  words({ error, pca_error: shadow, trust, pca_trust: flatTrust }) {
    const percent = (share) => `${Math.round(share * 100)} %`;
    say(this.pca.words, `Rebuilding the points from this picture goes wrong by ${Math.sqrt(shadow).toFixed(2)} on average; of the neighbours it shows, ${percent(flatTrust)} can be trusted.`);
    const ratio = error / shadow;
    say(this.code.words, `Goes wrong by ${Math.sqrt(error).toFixed(2)}: ${percent(ratio)} of the shadow's squared error.${trust === undefined ? "" : ` Of the neighbours it shows, ${percent(trust)} can be trusted.`}`);
  }

  turn(pixels) {
    this.angle += pixels * DRAG;
    this.draw();
  }

  draw() {
    if (!this.told?.code) {
      return;
    }
    solid(this.space.canvas, this.told.cloud, this.colours, this.angle);
    flat(this.pca.canvas, this.told.pca, this.colours);
    flat(this.code.canvas, this.told.code, this.colours);
  }

  dispose() {
    this.watch.dispose();
    this.sizes.disconnect();
    this.root.remove();
  }
}
