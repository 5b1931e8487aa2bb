/** The brush: one mask a case and reader, painted on one series. What is not on the disk is never called saved. */

import { AskError, askStore, eventId } from "./label_ask.js";
import { BrushLayers, sameGrid } from "./label_brush_layer.js";
import { PaintedMask } from "./label_brush_mask.js";
import { BrushPanel } from "./label_brush_panel.js";
import { Strokes } from "./label_brush_strokes.js";
import { Volume } from "./volume.js";

const PATIENCE = 120_000; // ms

export class Brush extends Strokes {
  constructor(page) {
    super();
    this.page = page;
    this.viewer = page.viewer;
    this.layers = new BrushLayers(this.viewer);
    this.panel = new BrushPanel(this.viewer, this);
    this.reset();
    this.viewer.on("draw", () => this.draw());
    this.viewer.on("loaded", () => this.panel.refresh());
    this.listen();
  }

  /** Another case: nothing of the mask before is left. info: the case, with its own mask if it has one. */
  reset(info = null) {
    this.coming?.dispose();
    Object.assign(this, { on: false, mask: null, series: "", erasing: false, stroke: null, busy: false, coming: null, id: "" });
    if (info?.mask) {
      this.fetch(info.mask);
    }
    this.layers.edge(null);
    this.refresh();
  }

  /** The reader's last mask of this case, to be seen and painted on. */
  fetch({ id, on }) {
    const coming = new Volume({ id });
    this.coming = coming;
    this.arriving = coming.load(() => 0, () => {}).then(() => {
      if (this.coming !== coming) {
        return;
      }
      this.coming = null;
      if (coming.error) {
        this.page.panel.warn(`Your mask of this case cannot be shown. ${coming.error}`);
      } else {
        Object.assign(this, { mask: new PaintedMask(coming.shape, coming.data), series: on });
      }
      coming.dispose();
      this.refresh();
    });
  }

  refresh() {
    this.layers.touch();
    this.draw();
    this.panel.refresh();
  }

  draw() {
    this.layers.draw(this.mask, this.volume);
  }

  /** The series that the mask is painted on, null where it is not shown. */
  get volume() {
    return this.viewer.volumes.find((volume) => volume.id === this.series) ?? null;
  }

  get changed() {
    return this.on && Boolean(this.mask?.changed || (this.before && this.before.mask !== this.mask));
  }

  /** M: the brush on; or save, and the brush off. */
  toggle() {
    if (this.busy || this.page.asking) {
      return;
    }
    if (this.on) {
      this.save();
    } else if (this.coming) {
      this.page.tell("Your mask of this case is still being read.");
    } else if (this.page.mayPaint()) {
      this.begin();
    }
  }

  begin() {
    this.on = true;
    this.since = performance.now();
    this.page.viewer.setTool("crosshair");
    if (this.volume && this.mask && this.mask.shape.some((n, axis) => n !== this.volume.shape[axis])) {
      this.page.panel.warn("Your mask of this case does not fit its scan any more: it was another file. You begin anew.");
      this.mask = null;
    }
    this.mask?.begin();
    this.before = this.mask ? { mask: this.mask, data: this.mask.data.slice(), series: this.series } : null;
    this.resize(1);
    this.page.tell("");
    this.refresh();
  }

  off(words, kind = "") {
    Object.assign(this, { on: false, stroke: null, erasing: false, id: "", before: null });
    this.layers.edge(null);
    this.page.panel.tell(words, kind);
    this.refresh();
  }

  async save() {
    const { page, mask, volume } = this;
    this.end();
    if (!this.changed) {
      this.off(mask?.count ? "Nothing was changed; your mask is as it was." : "The brush is off; nothing was painted.");
      return;
    }
    if (!mask.count) {
      page.tell("The mask is empty, so it is not saved. Paint something, or Esc leaves the brush.");
      return;
    }
    this.id ||= eventId(); // sent again it is the same mask, until a stroke changes it
    this.busy = true;
    page.tell("Saving the mask ...");
    const { now } = page;
    const seconds = (performance.now() - this.since) / 1000;
    const head = { reader: page.reader, id: this.id, case: now.case, series: this.series, key: volume.meta.key, edits: now.edits ?? "", seconds };
    try {
      const answer = await askStore(page.id, "paint", new Blob([JSON.stringify(head), "\n", mask.runs()]), PATIENCE);
      now.mask = answer.mask;
      this.busy = false;
      page.panel.warn("");
      page.take(answer.state);
      this.off(`Mask saved: ${this.words()}.`, "saved");
    } catch (error) {
      this.busy = false;
      page.tell("");
      const known = error instanceof AskError;
      page.panel.warn(known && error.sure ? `The mask was not saved: ${error.message}` : `The mask is NOT saved. ${error.message} M tries again.`);
    }
  }

  /** Esc: nothing painted, the brush goes off; else it asks. */
  leave() {
    if (this.busy) {
      return;
    }
    this.end();
    if (!this.changed) {
      this.off("");
      return;
    }
    this.page.confirm("Escape", "Throw away what you have painted? Enter does, Esc goes on painting.", () => this.discard());
  }

  discard() {
    const { before } = this;
    this.mask = before ? new PaintedMask(before.mask.shape, before.data) : null;
    this.series = before?.series ?? "";
    this.page.panel.warn("");
    this.off("What you had painted is thrown away.");
  }

  /** Why nothing can be painted in a pane, "" where it can. */
  refuses(pane) {
    if (pane.mode !== "plain") {
      return "Paint in a single picture: O changes the layout.";
    }
    if (this.viewer.resampled(pane.series, pane.plane)) {
      return "This picture is resampled on the plane of the first series: paint on the first one.";
    }
    if (this.mask?.count && !sameGrid(pane.volume, this.volume)) {
      return `Your mask lies on ${this.volume?.about.title ?? "another series"}: one mask a case.`;
    }
    return "";
  }

  /** How much is painted: "1.2 ml". */
  words() {
    const { count } = this.mask;
    const affine = this.volume?.meta?.affine;
    if (!affine || !this.volume.about.placed) {
      return `${count.toLocaleString("en")} pixels`;
    }
    const ml = (count * Math.abs(determinant(affine))) / 1000;
    return `${ml < 10 ? ml.toPrecision(2) : ml.toFixed(0)} ml (${count.toLocaleString("en")} voxels)`;
  }

  dispose() {
    this.coming?.dispose();
    this.coming = null;
  }
}

function determinant([[a, b, c], [d, e, f], [g, h, i]]) {
  return a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
}
