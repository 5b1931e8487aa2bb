/** Distances in mm. A distance belongs to the plane it was drawn on and is seen on the slices it lies in. */

import { svg } from "./dom.js";
import { apply, distance } from "./geometry.js";
import { toPane } from "./view.js";

/** "23.4 mm"; "123 px" where the picture has no place in a patient. */
export function lengthWords(a, b, placed) {
  const size = distance(a, b);
  return placed ? `${size.toFixed(1)} mm` : `${size.toFixed(0)} px`;
}

export class Measure {
  constructor(viewer) {
    this.viewer = viewer;
    this.all = []; // { plane, a, b } in RAS mm
    this.open = null; // the one whose second point is awaited
  }

  /** A click in a pane, at RAS mm. */
  click(pane, mm) {
    if (this.open && this.open.plane === pane.plane) {
      this.open.b = mm;
      this.all.push(this.open);
      this.open = null;
    } else {
      this.open = { plane: pane.plane, a: mm, b: mm };
    }
    this.viewer.invalidate();
  }

  move(pane, mm) {
    if (this.open && this.open.plane === pane.plane) {
      this.open.b = mm;
      this.viewer.invalidate();
    }
  }

  /** Take away the one that is being drawn, else the last. */
  undo() {
    if (this.open) {
      this.open = null;
    } else {
      this.all.pop();
    }
    this.viewer.invalidate();
  }

  remove(one) {
    this.all = this.all.filter((other) => other !== one);
    this.viewer.invalidate();
  }

  clear() {
    this.all = [];
    this.open = null;
  }

  draw(pane, lie) {
    const seen = [...this.all, ...(this.open ? [this.open] : [])].filter((one) => one.plane === pane.plane && lies(one, pane));
    const key = JSON.stringify([seen, this.open !== null, lie, pane.slice]);
    if (pane.measured !== key) {
      pane.measured = key;
      pane.marks.replaceChildren(...seen.map((one) => this.mark(one, pane, lie)));
    }
  }

  mark(one, pane, lie) {
    const ends = [one.a, one.b].map((mm) => toPane(lie, ...apply(pane.grid.toPicture, mm)));
    const [[x1, y1], [x2, y2]] = ends;
    const text = svg("text", { x: x2 + 10, y: y2 + 4, class: "distance" });
    text.append(lengthWords(one.a, one.b, pane.volume.about.placed), one === this.open ? "" : "  ×");
    if (one !== this.open) {
      text.addEventListener("pointerdown", (event) => {
        event.stopPropagation();
        this.remove(one);
      });
    }
    const dots = ends.map(([cx, cy]) => svg("circle", { cx, cy, r: 3, class: "distance" }));
    return svg("g", {}, svg("line", { x1, y1, x2, y2, class: "distance" }), ...dots, text);
  }
}

function lies(one, pane) {
  const [, , s] = apply(pane.grid.toPicture, one.a);
  return Math.round(s) === pane.slice;
}
