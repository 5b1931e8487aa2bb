/** The viewer: a scene with panes, tools and keys around it, in one element of the page. */

import { addKeys } from "./actions.js";
import { rememberSlice } from "./address.js";
import { Cine } from "./cine.js";
import { el, say } from "./dom.js";
import { attachAll } from "./extensions.js";
import { Help } from "./help.js";
import { Keys } from "./keys.js";
import { arrange, fitting, layoutsFor, possible } from "./layout.js";
import { Measure } from "./measure.js";
import { OverlayBar } from "./overlaybar.js";
import { Pane } from "./pane.js";
import { watch } from "./pointer.js";
import { readout } from "./readout.js";
import { overlayState, Study } from "./study.js";
import { fillToolbar, Toolbar } from "./toolbar.js";

const SETTLE = 300; // ms without a change before the address and the page hear of it
window.medudlViewer ??= [];

export class Viewer extends Study {
  constructor(parent) {
    super();
    this.panes = [];
    this.layout = "planes";
    this.tool = "crosshair";
    this.state = {};
    this.lastDrawMs = 0;
    this.keys = new Keys();
    this.measure = new Measure(this);
    this.cine = new Cine(this);
    this.help = new Help(this);
    this.build(parent);
    addKeys(this);
    fillToolbar(this);
    window.medudlViewer.push(this);
    this.keys.listen(() => (window.medudlViewer.find((v) => v.hovered) ?? window.medudlViewer.at(-1)) === this);
  }

  build(parent) {
    this.cell3d = el("div", { class: "cell3d" });
    this.toolbar = new Toolbar();
    this.stage = el("div", { class: "stage" });
    this.side = el("aside", { class: "side" });
    this.bottom = el("div", { class: "bottom" });
    this.overlayBar = new OverlayBar(this);
    this.readout = ["where", "voxel", "place", "value", "over", "status"].map((name) => el("span", { class: name }));
    this.readout[2].title = "Patient mm as DICOM (LPS) or NIfTI (RAS) counts them; click to switch (y)";
    this.readout[2].addEventListener("click", () => this.keys.find("y").run());
    this.foot = el("footer", {}, ...this.readout);
    this.statusLine = this.readout.at(-1);
    const middle = el("div", { class: "middle" }, this.stage, this.side);
    this.root = el(
      "section", { class: "viewer", tabindex: -1 },
      this.toolbar.element, middle, this.bottom, this.overlayBar.element, this.foot, this.help.element,
    );
    this.root.addEventListener("pointerenter", () => { this.hovered = true; });
    this.root.addEventListener("pointerleave", () => { this.hovered = false; });
    parent.append(this.root);
  }

  /** What the page wants to be shown now; only what differs from before is changed. */
  update(data) {
    const before = this.data;
    this.data = data;
    this.root.style.height = data.height;
    const ids = (d) => JSON.stringify([d?.series.map((s) => s.id), d?.overlays.map((o) => [o.id, o.on])]);
    if (ids(before) !== ids(data)) {
      this.open(data);
    } else {
      data.overlays.forEach((overlay, n) => {
        if (JSON.stringify(overlay) !== JSON.stringify(before.overlays[n])) {
          Object.assign(this.overlays[n], overlayState(overlay));
        }
      });
      if (JSON.stringify(data.start) !== JSON.stringify(before.start) && data.start?.mm) {
        this.moveTo(data.start.mm);
      }
    }
    if (before?.layout !== data.layout) {
      this.setLayout(data.layout);
    }
    this.extend(data.extra, before);
    this.invalidate();
  }

  async extend(extra, before) {
    if (before === undefined) {
      const missing = await attachAll(this, extra);
      if (missing.length && !this.disposed) {
        this.status(`A part of this page could not be loaded (${missing.join(", ")}). Reload the page.`);
      }
    } else if (JSON.stringify(extra) !== JSON.stringify(before.extra)) {
      this.emit("extra", extra);
    }
  }

  setLayout(name) {
    this.wanted = name;
    this.layout = possible(name, this.volumes.length, this.flat, this.data?.pairs);
    this.pair = fitting(this.data?.pairs?.[this.layout], this.pair);
    const { template, panes, cell3d } = arrange(this.layout, {
      native: this.native, plane: this.plane, shown: this.shown, count: this.volumes.length, pair: this.pair,
    });
    this.panes.forEach((pane) => pane.dispose());
    this.pointed = null;
    this.panes = panes.map((spec, n) => new Pane(this, spec, "abcd"[n]));
    this.stage.style.gridTemplate = template;
    this.stage.replaceChildren(...this.panes.map((pane) => pane.element), ...(cell3d ? [this.cell3d] : []));
    this.panes.forEach((pane) => {
      watch(pane);
      pane.resize();
    });
    this.emit("layout", this.layout);
    this.invalidate();
  }

  /** Names of the layouts that make sense now. */
  get layouts() {
    return layoutsFor(this.volumes.length, this.flat, this.data?.pairs);
  }

  setPlane(plane) {
    const rebuild = plane !== this.plane && this.panes.length > 0 && !this.panes.some((pane) => pane.plane === plane);
    this.plane = plane;
    if (rebuild) {
      this.setLayout(this.layout);
    }
    this.invalidate();
  }

  activate(pane) {
    this.plane = pane.plane;
    this.active = pane;
    this.invalidate();
  }

  /** The series that keys act on: the one under the pointer, else that of the pane used last. */
  get series() {
    if (this.pointed) {
      return this.pointed.series;
    }
    return this.panes.includes(this.active) ? this.active.series : (this.panes[0]?.series ?? 0);
  }

  setView(plane, view) {
    this.views[plane] = view;
    this.invalidate();
  }

  setTool(tool) {
    this.tool = this.tool === tool ? "crosshair" : tool;
    this.stage.dataset.tool = this.tool;
    this.measure.open = null;
    this.invalidate();
  }

  /** The pointer is over a point of a pane, or has left them (null). */
  point(pane, x, y) {
    this.pointed = pane ? { pane, mm: pane.snapped(x, y), series: pane.seriesAt(x) } : null;
    this.tell();
  }

  /** Draw after the present event, once. */
  invalidate() {
    if (!this.pending && !this.disposed) {
      this.pending = true;
      queueMicrotask(() => this.pending && this.drawNow());
    }
  }

  /** Draw what has changed, at once. */
  drawNow() {
    this.pending = false;
    if (this.disposed) {
      return;
    }
    const start = performance.now();
    this.panes.forEach((pane) => pane.draw());
    this.lastDrawMs = performance.now() - start;
    this.tell();
    this.emit("draw");
    this.chrome ??= requestAnimationFrame(() => {
      this.chrome = null;
      this.toolbar.refresh();
      this.overlayBar.refresh();
    });
  }

  /** Write the readout: under the pointer, else under the crosshair. */
  tell() {
    const pane = this.pointed?.pane ?? this.panes.find((p) => p.plane === this.plane) ?? this.panes[0];
    const series = this.pointed?.series ?? pane?.series;
    const volume = this.volumes[series];
    const progress = this.progress();
    say(this.statusLine, this.message || progress);
    if (!volume?.data) {
      this.readout.slice(0, -1).forEach((node) => say(node, ""));
      return;
    }
    const over = this.overlays.filter((o) => o.on === series && o.volume.data);
    const told = readout(volume, this.pointed?.mm ?? this.crosshair, this.space, over);
    const where = volume.about.placed ? pane.plane : "picture";
    const words = [`${where} ${pane.slice + 1} / ${pane.grid.size[2]}`, told.voxel, told.place, told.value, told.overlays.join(" · ")];
    words.forEach((text, n) => say(this.readout[n], text));
  }

  /** A sentence at the foot of the pictures; "" takes it away. */
  status(text) {
    this.message = text;
    this.tell();
  }

  settle() {
    clearTimeout(this.settling);
    this.settling = setTimeout(() => rememberSlice(this.sliceOf(this.native) + 1), SETTLE);
  }

  /** Tell the page a value that the reader has settled on; it goes with the crosshair, once it has stayed. */
  commit(name, value) {
    this.state[name] = value;
    clearTimeout(this.committing);
    this.committing = setTimeout(() => {
      const ids = this.volumes.map((volume) => volume.id);
      this.report("state", { ...this.state, mm: this.crosshair, series: ids });
    }, SETTLE);
  }

  /** What a pane of this plane really shows: { seriesId, slice, mm, width, height, data (RGBA) }, null while empty. */
  frame(plane, series = null) {
    const pane = this.panes.find((p) => p.plane === plane && p.drawn && (series === null || p.series === series));
    if (!pane) {
      return null;
    }
    const { canvas, image } = pane.pictures[0];
    return { ...pane.drawn, width: canvas.width, height: canvas.height, data: image.data };
  }

  dispose() {
    this.disposed = true;
    this.generation += 1;
    clearTimeout(this.settling);
    clearTimeout(this.committing);
    clearInterval(this.ticking);
    this.cine.stop();
    this.keys.stop();
    this.emit("dispose");
    this.held().forEach((volume) => volume.dispose());
    this.panes.forEach((pane) => pane.dispose());
    this.root.remove();
    window.medudlViewer.splice(window.medudlViewer.indexOf(this), 1);
  }
}
