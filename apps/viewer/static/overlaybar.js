/** A row for each overlay: what it is, its colours with numbers, opacity and lower threshold. */

import { el, say } from "./dom.js";
import { gradient, OVERLAY_MAPS } from "./paint.js";
import { short } from "./windows.js";

const STEPS = 200; // of a slider

export class OverlayBar {
  constructor(viewer) {
    this.viewer = viewer;
    this.element = el("div", { class: "overlays" });
    this.rows = [];
  }

  refresh() {
    const { overlays } = this.viewer;
    if (this.rows.length !== overlays.length || this.rows.some((row, n) => row.volume !== overlays[n].volume)) {
      this.rows = overlays.map((overlay, n) => this.row(overlay, n));
      this.element.replaceChildren(...this.rows.map((row) => row.element));
    }
    this.rows.forEach((row, n) => row.refresh(overlays[n]));
  }

  row(overlay, n) {
    const change = (values) => this.viewer.setOverlay(n, values);
    const eye = el("input", { type: "checkbox", onchange: () => change({ visible: eye.checked }) });
    const name = el("span", { class: "name" });
    const low = el("span", { class: "number" });
    const high = el("span", { class: "number" });
    const legend = el("span", { class: "legend" });
    const maps = el("select", { title: "Colours", "aria-label": "Colours", onchange: () => change({ colormap: maps.value }) },
      ...OVERLAY_MAPS.map((map) => el("option", { value: map }, map)));
    const opacity = slider("Opacity", (share) => change({ opacity: share }));
    const threshold = slider("From", (share) => change({ threshold: this.level(n, share) }));
    threshold.input.addEventListener("change", () => this.viewer.commit("threshold", this.viewer.overlays[n].threshold));
    const problem = el("span", { class: "problem" });
    const controls = el("span", { class: "controls" }, low, legend, high, maps, threshold.element, opacity.element);
    const element = el("div", { class: "row" }, el("label", {}, eye, name), controls, problem);
    const refresh = (o) => {
      say(name, o.title || o.volume.about.title);
      say(problem, o.volume.error);
      eye.checked = o.visible && !this.viewer.overlaysHidden;
      controls.hidden = !o.volume.meta;
      if (o.volume.meta) {
        const { lo, hi, threshold: from } = this.viewer.overlayRange(o);
        const mask = o.volume.meta.unit === "mask";
        say(low, mask ? "" : short(lo));
        say(high, mask ? "" : short(hi));
        legend.style.background = gradient(o.colormap);
        maps.value = o.colormap;
        opacity.set(o.opacity, `${Math.round(o.opacity * 100)} %`);
        threshold.element.hidden = mask;
        threshold.set(this.share(n, from), `${short(from)} up`);
      }
    };
    return { element, refresh, volume: overlay.volume };
  }

  /** Ends of the threshold slider: from the lowest value of the map to its highest. */
  ends(n) {
    const { meta } = this.viewer.overlays[n].volume;
    return [Math.min(meta.extent[0], meta.range[0]), meta.extent[1]];
  }

  level(n, share) {
    const [low, high] = this.ends(n);
    return low + share * (high - low);
  }

  share(n, level) {
    const [low, high] = this.ends(n);
    return high > low ? (level - low) / (high - low) : 0;
  }
}

function slider(label, change) {
  const input = el("input", { type: "range", min: 0, max: STEPS, "aria-label": label, oninput: () => change(Number(input.value) / STEPS) });
  input.addEventListener("change", () => input.blur()); // arrow keys are for slices again
  const text = el("span", { class: "number" });
  const set = (share, words) => {
    const value = String(Math.round(share * STEPS));
    if (input.value !== value && !input.matches(":active")) {
      input.value = value;
    }
    say(text, words);
  };
  return { element: el("label", { class: "slider" }, el("span", {}, label), input, text), input, set };
}
