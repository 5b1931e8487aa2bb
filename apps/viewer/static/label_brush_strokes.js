/** Strokes of the brush in the panes: its radius, painting, erasing, taking back. Base of `Brush`. */

import { column, length } from "./geometry.js";
import { sameGrid } from "./label_brush_layer.js";
import { PaintedMask } from "./label_brush_mask.js";

const FIRST = 0.025; // of the picture's longer side: the radius to begin with

export class Strokes {
  constructor() {
    this.radius = 0; // mm
    this.times = []; // for tests: ms that each event of a stroke took
  }

  /** The page's pictures, ahead of what the left button does there else. */
  listen() {
    const taken = (run) => (event) => {
      if (this.on) {
        run(event, this.viewer.panes.find((pane) => pane.element.contains(event.target)));
      }
    };
    const { stage } = this.viewer;
    stage.addEventListener("pointerdown", taken((event, pane) => this.down(event, pane)), true);
    stage.addEventListener("pointermove", taken((event, pane) => this.move(event, pane)), true);
    stage.addEventListener("pointerup", taken(() => this.end()), true);
    stage.addEventListener("pointercancel", taken(() => this.end()), true);
    stage.addEventListener("pointerleave", taken(() => this.stroke ?? this.layers.edge(null)));
  }

  down(event, pane) {
    if (event.button !== 0 || !pane?.drawn) {
      return;
    }
    event.stopPropagation();
    event.preventDefault();
    pane.element.focus({ preventScroll: true });
    const problem = this.busy ? "The mask is being saved." : this.refuses(pane);
    if (problem) {
      this.page.tell(problem);
      return;
    }
    if (this.page.asking) {
      this.page.leave(); // who paints on has said no
    }
    const begun = performance.now();
    pane.element.setPointerCapture(event.pointerId);
    this.viewer.activate(pane);
    this.viewer.cine.stop();
    this.page.tell("");
    if (!this.mask || (!this.mask.count && !sameGrid(pane.volume, this.volume))) {
      Object.assign(this, { mask: new PaintedMask(pane.volume.shape), series: pane.volume.id });
    }
    const [x, y] = local(event, pane);
    this.viewer.moveTo(pane.snapped(x, y)); // the other planes follow each stroke
    this.mask.down(this.erasing || event.shiftKey ? 0 : 1);
    this.stroke = { pane, slice: pane.slice, last: null };
    this.viewer.drawNow();
    this.draws(event, pane, begun);
  }

  move(event, pane) {
    const begun = performance.now();
    this.shift = event.shiftKey;
    this.pointer = pane ? { pane, x: local(event, pane)[0], y: local(event, pane)[1] } : null;
    this.ring();
    if (this.stroke && this.stroke.pane === pane) {
      this.draws(event, pane, begun);
    }
  }

  draws(event, pane, begun) {
    const { c, r } = pane.at(...local(event, pane));
    const { stroke, mask } = this;
    const from = stroke.slice === pane.slice && stroke.last ? stroke.last : [c, r]; // the wheel may turn meanwhile
    const box = mask.line(pane.grid, pane.slice, from, [c, r], this.radius);
    Object.assign(stroke, { slice: pane.slice, last: [c, r] });
    if (box) {
      this.drew(box);
    }
    this.times.push(performance.now() - begun);
  }

  drew(box) {
    this.id = "";
    this.layers.touch(box);
    this.draw();
    this.panel.refresh();
  }

  end() {
    if (this.stroke) {
      this.mask.up();
      this.stroke = null;
    }
  }

  undo() {
    if (this.stroke || this.busy) {
      return;
    }
    const box = this.mask?.undo();
    if (box) {
      this.drew(box);
    } else {
      this.page.tell("No stroke is left to take back.");
    }
  }

  erase() {
    this.erasing = !this.erasing;
    this.panel.refresh();
    this.ring();
  }

  resize(factor) {
    const grid = this.viewer.gridOf(this.viewer.reference, this.viewer.native);
    const step = [0, 1].map((n) => length(column(grid.toMm, n)));
    const widest = Math.max(...step.map((mm, n) => mm * grid.size[n])) / 2;
    const begun = this.radius >= Math.min(...step) / 4 && this.radius <= widest ? this.radius : 2 * widest * FIRST;
    this.radius = Math.min(Math.max(begun * factor, Math.min(...step) / 2), widest);
    this.panel.refresh();
    this.ring();
  }

  ring() {
    const { pane, x, y } = this.pointer ?? {};
    this.layers.edge(this.on && pane?.drawn ? pane : null, x, y, this.radius, this.erasing || this.shift);
  }
}

function local(event, pane) {
  const box = pane.element.getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
}
