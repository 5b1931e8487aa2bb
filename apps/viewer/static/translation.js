/** The CT-MR page's own part: what warns of a synthetic scan, its overlays on keys, and the way to the next scan. */

import { follow, panel } from "./anomaly.js";
import { el, say } from "./dom.js";
import { PRESETS, fromLevel } from "./windows.js";

const SWIPE = 0.02; // of the pane's width that an arrow key moves the line by; with Shift five times as much
const WINDOWS = ["soft tissue", "bone", "brain"];
const OVERLAYS = [
  { role: "uncertainty", key: "u", to: "U", label: "Uncertainty" },
  { role: "difference", key: "d", to: "D", label: "Difference" },
  { role: "cycle", key: "e", to: "", label: "Cycle error" },
];

/**
 * extra.translation: { scan: its id, warnings: [sentences], meaning, real, cycle: sentences, synthetic: its place among
 * the series, hu: whether it is in HU, before, after: whether the list of scans goes on }.
 */
export function attach(viewer, extra) {
  let part = null;
  follow(viewer, extra, (now) => {
    if (now.translation && !part) {
      part = new Translation(viewer);
    }
    part?.show(now.translation ?? null);
  });
}

/** Where the line of a swipe lies after an arrow key, as a share of the width. */
export function swiped(at, direction, far) {
  return Math.min(Math.max(at + direction * SWIPE * (far ? 5 : 1), 0.02), 0.98);
}

class Translation {
  constructor(viewer) {
    this.viewer = viewer;
    this.wishes = {}; // role -> whether the reader wants it laid over, on the next scan too
    this.heading = el("h2", {});
    this.warnings = el("ul", { class: "warnings" });
    panel(viewer, 0, this.heading, this.warnings);
    this.buttons = OVERLAYS.map((one) => this.button(one.label, one.key, () => this.toggle(one.role)));
    panel(viewer, 1, el("div", { class: "choices" }, this.button("Swipe", "s", () => this.swipe()), ...this.buttons));
    this.windows = panel(viewer, 2, el("h2", {}, "Window of the synthetic"), el("div", { class: "choices" }, ...WINDOWS.map((name) => this.window(name))));
    this.words = ["meaning", "real", "cycle"].map(() => el("p", { class: "quiet" }));
    panel(viewer, 3, ...this.words);
    this.addKeys();
    viewer.on("overlay", (n) => this.changed(n));
    viewer.on("layout", () => this.refresh());
    viewer.on("loaded", () => this.refresh());
  }

  button(label, key, run) {
    return el("button", { type: "button", title: `${label} (${key})`, "data-key": key, onclick: (event) => {
      run();
      event.currentTarget.blur();
    } }, `${label} (${key.toUpperCase()})`);
  }

  window(name) {
    const { width, level } = PRESETS.find((one) => one.name === name);
    return el("button", { type: "button", onclick: (event) => {
      this.viewer.setWindow(this.told.synthetic, fromLevel(width, level));
      event.currentTarget.blur();
    } }, name);
  }

  addKeys() {
    const { keys, toolbar } = this.viewer;
    const group = "Synthetic scan";
    const take = (key, to, help, run, label = "") => {
      keys.take(key, to, { help, run, group, label });
      toolbar.rename(key, to);
    };
    take("s", "S", "swipe: a line between two series, on and off", () => this.swipe());
    OVERLAYS.forEach(({ role, key, to, label }) => take(key, to, `${label.toLowerCase()} laid over, on and off`, () => this.toggle(role)));
    take("ArrowLeft", "", "scan before; while swiping the line goes left (Shift: further)", (event) => this.sideways(-1, event));
    take("ArrowRight", "", "next scan; while swiping the line goes right (Shift: further)", (event) => this.sideways(1, event));
    take("p", "", "scan before", () => this.go(-1));
    take("n", "", "next scan", () => this.go(1));
  }

  swipe() {
    this.viewer.setLayout(this.viewer.layout === "swipe" ? "side" : "swipe");
    this.refresh();
  }

  sideways(direction, event) {
    if (this.viewer.layout !== "swipe") {
      this.go(direction);
      return;
    }
    this.viewer.panes.forEach((pane) => Object.assign(pane, { swipe: swiped(pane.swipe, direction, event.shiftKey) }));
    this.viewer.invalidate();
  }

  /** Ask the page for the scan before or after; the time tells one wish from the next. */
  go(step) {
    const more = step < 0 ? this.told?.before : this.told?.after;
    if (more) {
      this.viewer.commit("go", { step, turn: Date.now() });
    } else {
      this.brief(step < 0 ? "This is the first scan of the list." : "This is the last scan of the list.");
    }
  }

  brief(text) {
    this.viewer.status(text);
    clearTimeout(this.ending);
    this.ending = setTimeout(() => this.viewer.status(""), 4000);
  }

  find(role) {
    return this.viewer.overlays.findIndex((overlay) => overlay.about.role === role);
  }

  /** Lay one over, or take it away; what lies on the same series gives way to it. */
  toggle(role) {
    const { viewer } = this;
    const n = this.find(role);
    if (n < 0) {
      this.brief(role === "difference" ? this.told.real : "The translation wrote no such volume of this scan.");
      return;
    }
    const { on, visible } = viewer.overlays[n];
    if (!visible) {
      viewer.overlays.forEach((other, m) => m !== n && other.on === on && other.visible && viewer.setOverlay(m, { visible: false }));
      this.bring(on);
    }
    viewer.setOverlay(n, { visible: !visible });
  }

  /** Where no pane shows this series, let the panes that show one series show it. */
  bring(series) {
    const { viewer } = this;
    if (!viewer.panes.some((pane) => pane.series === series || pane.other === series)) {
      viewer.shown = series;
      viewer.setLayout(viewer.layout === "difference" ? "side" : viewer.layout);
    }
  }

  changed(n) {
    const { about, visible } = this.viewer.overlays[n];
    this.wishes[about.role] = visible;
    this.refresh();
  }

  show(told) {
    const next = told?.scan !== this.told?.scan;
    this.told = told;
    if (!told) {
      return;
    }
    if (next) {
      this.viewer.overlays.forEach((overlay) => Object.assign(overlay, { visible: this.wishes[overlay.about.role] ?? overlay.visible }));
      this.viewer.invalidate();
    }
    const count = told.warnings.length;
    say(this.heading, count ? `${count} ${count === 1 ? "warning" : "warnings"}` : "No warning");
    const sentences = count ? told.warnings : ["By size and intensities this scan is like those that the model was trained on. That alone does not make the synthetic one right."];
    this.warnings.replaceChildren(...sentences.map((text) => el("li", {}, text)));
    this.warnings.classList.toggle("none", !count);
    this.windows.hidden = !told.hu;
    [told.meaning, told.real, told.cycle].forEach((text, n) => say(this.words[n], text));
    this.refresh();
  }

  refresh() {
    const { viewer } = this;
    OVERLAYS.forEach(({ role }, n) => {
      const overlay = viewer.overlays[this.find(role)];
      this.buttons[n].hidden = !overlay;
      this.buttons[n].setAttribute("aria-pressed", String(Boolean(overlay?.visible)));
    });
    viewer.side.querySelector("[data-key=s]")?.setAttribute("aria-pressed", String(viewer.layout === "swipe"));
  }
}
