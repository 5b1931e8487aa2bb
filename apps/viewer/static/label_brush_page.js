/** The Label page with a brush: while it is on, no key labels, and the case stays. */

import { Labelling } from "./label.js";
import { Brush } from "./label_brush.js";
import { before } from "./label_keys.js";

const ON = "The brush is on, so class keys are off: M saves the mask, Esc leaves it.";
const LEFT = "The brush is on: the left button paints.";
const GROUP = "Masks by brush";

export class PaintingPage extends Labelling {
  constructor(parent, data) {
    super(parent, data);
    this.brush = new Brush(this);
    this.viewer.on("extended", () => this.takeBrushKeys());
    this.stay = (event) => (this.brush.changed || this.brush.busy) && event.preventDefault();
    window.addEventListener("beforeunload", this.stay);
  }

  takeBrushKeys() {
    const { brush, viewer: { keys, toolbar } } = this;
    keys.take("m", "M", { help: "brush on; on again: save the mask (or Enter)", group: GROUP, run: (event) => event?.repeat || brush.toggle() });
    toolbar.rename("m, [ thinner, ] thicker", "Shift m, [ thinner, ] thicker");
    keys.add({ key: "e", help: "brush or eraser (Shift and drag erases, too)", group: GROUP, run: () => (brush.on ? brush.erase() : this.tell("M turns the brush on.")) });
    const meant = (run) => (event) => brush.on && (event.type === "keydown" ? run() : this.tell(LEFT), true); // else a button
    before(keys, "[", meant(() => brush.resize(0.8)));
    before(keys, "]", meant(() => brush.resize(1.25)));
    before(keys, "z", meant(() => brush.undo()));
    ["d", "H", "w"].forEach((key) => before(keys, key, meant(() => this.tell(LEFT))));
    const told = [["Drag", "paint a disc in the slice, in any plane"], ["[ / ]", "smaller, larger"], ["Z", "take back the last stroke"], ["Esc", "leave the brush; asks before it throws anything away"]];
    const place = ({ group }) => ["Labelling", GROUP].indexOf(group) >>> 0; // the others last, in their order
    told.forEach(([label, help]) => keys.table.push({ keys: [], label: `${label} (brush on)`, help, group: GROUP, run: () => {} }));
    keys.table.sort((a, b) => place(a) - place(b));
  }

  /** Whether the brush may be turned on; says why where it may not. */
  mayPaint() {
    if (this.mode !== "reading") {
      this.tell("No mask is painted while readers' differences are decided.");
      return false;
    }
    return !this.saving.pending && this.may(true);
  }

  /** True, with a sentence, where the brush is on. */
  painting() {
    if (this.brush?.on) {
      this.tell(ON);
    }
    return Boolean(this.brush?.on);
  }

  may(judges) {
    return !this.painting() && super.may(judges);
  }

  async undo(event) {
    await (this.painting() ? null : super.undo(event));
  }

  choose() {
    this.painting() || super.choose();
  }

  async openLabel(event) {
    await (this.painting() ? null : super.openLabel(event));
  }

  train() {
    this.painting() || super.train();
  }

  adjudicate() {
    this.painting() || super.adjudicate();
  }

  enter() {
    if (this.brush.on && !this.asking) {
      this.brush.toggle();
    } else {
      super.enter();
    }
  }

  leave() {
    if (!this.brush.on || this.asking) {
      return super.leave();
    }
    if (!this.viewer.help.element.hidden) {
      return false; // the help closes first
    }
    this.brush.leave();
    return true;
  }

  show(info) {
    super.show(info);
    this.brush?.reset(info);
  }

  clear() {
    super.clear();
    this.brush?.reset();
  }

  dispose() {
    window.removeEventListener("beforeunload", this.stay);
    this.brush.dispose();
    super.dispose();
  }
}
