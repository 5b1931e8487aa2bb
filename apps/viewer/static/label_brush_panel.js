/** What the brush says at the side: its button, its radius, how much is painted. */

import { panel } from "./anomaly.js";
import { el, say } from "./dom.js";

export class BrushPanel {
  constructor(viewer, brush) {
    Object.assign(this, { viewer, brush });
    this.button = el("button", { type: "button", class: "wide", "data-key": "M", onclick: () => {
      this.button.blur();
      brush.toggle();
    } }, el("kbd", {}, "M"), " Paint a mask");
    this.size = el("p", {});
    this.keys = el("p", { class: "quiet" });
    panel(viewer, 1.5, this.button, this.size, this.keys);
  }

  refresh() {
    const { brush } = this;
    const { mask, on, radius, erasing } = brush;
    const placed = brush.viewer.volumes[0]?.about.placed !== false;
    const painted = mask?.count ? brush.words() : "nothing painted";
    this.viewer.root.dataset.brush = on ? "on" : "";
    this.button.setAttribute("aria-pressed", String(on));
    say(this.button.lastChild, on ? " Save the mask" : mask?.count ? " Paint on" : " Paint a mask");
    this.size.hidden = !on && !mask?.count;
    say(this.size, on ? `${erasing ? "Eraser" : "Brush"} ${radius.toFixed(1)} ${placed ? "mm" : "pixels"} · ${painted}` : `Your mask: ${painted}`);
    this.keys.hidden = !on;
    say(this.keys, "[ ] radius · Shift or E erases · Z takes back a stroke · Esc leaves. Class keys are off.");
  }
}
