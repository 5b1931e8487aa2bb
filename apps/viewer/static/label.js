/** Labelling: one case, one key, the next case. What is not on the disk is never called saved. */

import { askStore, tellStore } from "./label_ask.js";
import { Asides } from "./label_asides.js";
import { Hold } from "./label_hold.js";
import { MOST_CLASSES, takeKeys } from "./label_keys.js";
import { LabelPanel } from "./label_panel.js";
import { Saving } from "./label_saving.js";
import { LabelViewer, layoutOf } from "./label_view.js";

const SETTLED = 350; // ms on the screen before a key counts: the second half of a double press belongs to the case before
const LOOK = 2000; // ms between two looks at a training
const TOO_EARLY = "Not yet: this case has only just appeared.";

export class Labelling extends Asides {
  constructor(parent, data) {
    super();
    Object.assign(this, { id: data.id, classes: data.classes.slice(0, MOST_CLASSES), data });
    Object.assign(this, { reader: "", now: null, next: null, parked: [], turn: 0, dropped: 0 });
    this.viewer = new LabelViewer(parent);
    this.panel = new LabelPanel(this.viewer, this);
    this.saving = new Saving(this);
    this.hold = new Hold(this);
    this.viewer.on("draw", () => this.look());
    this.viewer.on("extended", () => takeKeys(this.viewer, this));
    this.viewer.report = () => {};
    this.clear();
    this.askName(this.saving.reader);
    this.unload = (event) => this.saving.pending && event.preventDefault();
    this.hide = () => this.release();
    window.addEventListener("beforeunload", this.unload);
    window.addEventListener("pagehide", this.hide);
    window.medudlLabel = this; // for tests
  }

  ask(act, body = {}, patience = undefined) {
    return askStore(this.id, act, { reader: this.reader, ...body }, patience);
  }

  tell(text) {
    this.panel.tell(text);
  }

  askName(known) {
    this.panel.askName(known, this.classes, this.data.unit, (name) => this.begin(name));
    if (known) {
      this.begin(known); // of this tab's session
    }
  }

  async begin(name) {
    this.reader = name;
    try {
      this.take(await this.ask("begin"));
    } catch (error) {
      this.reader = "";
      this.panel.refuseName(error.message);
      return;
    }
    this.saving.remember(name);
    this.panel.message("");
    this.viewer.root.focus();
    await this.saving.again();
    await this.advance();
  }

  /** What the server says of the store as this reader may know it. */
  take(state) {
    this.panel.show(state, this.saving.pace);
    this.history = state.history;
    if (state.ranking !== this.ranking && this.ranking !== undefined) {
      this.drop();
      this.panel.news("A new model has put the cases in order.");
    }
    this.ranking = state.ranking;
    this.training = state.training;
    clearTimeout(this.looking);
    if (state.training.alive) {
      this.looking = setTimeout(() => this.refresh(), LOOK);
    }
  }

  async refresh() {
    try {
      const before = this.ranking;
      this.take(await this.ask("state"));
      if (this.ranking !== before && !this.now && this.mode === "reading") {
        await this.advance();
      } else if (this.ranking !== before) {
        this.fetchNext();
      }
    } catch {
      if (!this.disposed) {
        this.looking = setTimeout(() => this.refresh(), LOOK);
      }
    }
  }

  /** The case after the present one, leased, with its voxels on the way. */
  fetchNext() {
    const turn = (this.fetchTurn = (this.fetchTurn ?? 0) + 1);
    const avoid = [this.now, ...this.parked].filter(Boolean).map((info) => info.case);
    this.fetching = this.ask("next", { avoid }, 120_000).then((answer) => {
      if (turn !== this.fetchTurn || this.disposed) {
        return;
      }
      this.next = answer;
      this.panel.warn(answer.passed);
      this.viewer.prepare(answer.next?.series ?? []);
      this.tidy();
    });
    this.fetching.catch(() => {});
    return this.fetching;
  }

  /** Another order holds: what was fetched by the old one goes back. */
  drop() {
    if (this.next?.next) {
      tellStore(this.id, "release", { reader: this.reader, cases: [this.next.next.case] });
    }
    this.next = null;
    this.fetchTurn = (this.fetchTurn ?? 0) + 1;
    this.fetching = null;
  }

  /** Only what is still wanted is held. */
  tidy() {
    const wanted = [this.now, this.next?.next, ...this.parked].filter(Boolean);
    this.viewer.keep(new Set(wanted.flatMap((info) => info.series.map((one) => one.id))));
  }

  /** On to what was put aside, else to the next case. */
  async advance() {
    if (this.mode === "adjudicating") {
      await this.nextConflict();
      return;
    }
    if (this.parked.length) {
      this.show(this.parked.pop());
      return;
    }
    if (this.next && !this.next.next) {
      this.drop(); // an empty queue was told of while a case was still open: it is asked again
    }
    if (!this.next) {
      this.now = null;
      this.painted = 0;
      try {
        await (this.fetching ?? this.fetchNext());
      } catch (error) {
        this.panel.warn(`The next case could not be fetched. ${error.message} Enter tries again.`);
        this.stuck = true;
        return;
      }
    }
    if (!this.next) {
      return; // a newer question is on its way
    }
    const { next, empty } = this.next;
    this.next = null;
    this.fetching = null;
    if (next) {
      this.show(next);
      this.fetchNext();
    } else {
      this.clear();
      this.stuck = true;
      this.panel.message(...empty);
    }
  }

  /** head: what the case is shown for. */
  show(info) {
    this.turn += 1;
    this.stuck = false;
    this.now = info;
    this.painted = 0;
    this.waiting = 0;
    this.panel.ready(false);
    this.panel.message("");
    this.panel.opened(info, info.head ?? "This case");
    this.viewer.update({ ...this.viewer.data, series: info.series, layout: layoutOf(info.series) });
  }

  clear() {
    this.now = null;
    this.painted = 0;
    this.panel.opened(null, "No case");
    this.viewer.update({ series: [], overlays: [], layout: "planes", height: this.data.height, start: null, extra: {} });
  }

  /** After each drawing: once the case is whole on the screen, its clock starts and, a moment later, keys count. */
  look() {
    if (!this.now || this.painted || this.waiting === this.turn || !this.viewer.whole) {
      return;
    }
    this.waiting = this.turn;
    const { turn } = this;
    requestAnimationFrame(() => requestAnimationFrame(() => {
      if (turn === this.turn && this.now && !this.disposed) {
        this.painted = performance.now();
        this.saving.shown(this.painted);
        setTimeout(() => turn === this.turn && this.panel.ready(true), SETTLED);
      }
    }));
  }

  /** Whether a key may act on the case on the screen; says why where it may not. */
  may(judges) {
    if (this.asking || this.chosen >= 0 || this.saving.busy) {
      return false;
    }
    if (!this.now) {
      return false;
    }
    if (judges && this.viewer.trouble) {
      this.tell("This scan cannot be shown, and so not be labelled. S skips it.");
      return false;
    }
    if (!this.viewer.trouble && (!this.painted || performance.now() - this.painted < SETTLED)) {
      this.dropped += 1;
      this.tell(TOO_EARLY);
      return false;
    }
    return true;
  }

  label(n, event) {
    if (this.saving.pending) {
      this.saving.retry(this.classes[n]);
    } else if (this.may(true)) {
      const kind = this.mode === "adjudicating" ? "adjudicate" : "label";
      this.saving.save({ kind, value: this.classes[n], case: this.now.case, edits: this.now.edits ?? "" }, event);
    }
  }

  skip(event) {
    if (this.saving.pending) {
      this.saving.retry("skip");
    } else if (this.mode === "adjudicating") {
      this.may(false) && this.advance();
    } else if (this.may(false)) {
      this.saving.save({ kind: "skip", value: "", case: this.now.case }, event);
    }
  }

  async undo(event) {
    if (this.saving.pending) {
      this.saving.retry("undo");
    } else if (!this.asking && this.chosen < 0 && !this.saving.busy && this.mode === "reading") {
      await this.saving.save({ kind: "undo", value: "", case: "" }, event);
    }
  }

  /** Show a case of before; the one on the screen waits. */
  comeBack(info) {
    if (this.now && this.now.case !== info.case) {
      this.viewer.park();
      this.parked.push(this.now);
    }
    this.show(info);
    this.tidy();
  }

  flag() {
    if (!this.saving.pending && this.may(false)) {
      this.panel.askReason();
    }
  }

  async flagged(reason) {
    this.viewer.root.focus();
    if (reason !== null && this.now) {
      await this.saving.save({ kind: "flag", value: reason || "to be looked at again", case: this.now.case });
    }
  }

  /** Cases that nobody else should get meanwhile. */
  held() {
    const here = [this.now, this.next?.next, ...this.parked];
    return here.filter((info) => info && !info.said).map((info) => info.case); // one to adjudicate is nobody's
  }

  release() {
    const cases = this.held();
    if (this.reader && cases.length) {
      tellStore(this.id, "release", { reader: this.reader, cases });
    }
  }

  dispose() {
    this.disposed = true;
    clearTimeout(this.looking);
    this.hold.dispose();
    window.removeEventListener("beforeunload", this.unload);
    window.removeEventListener("pagehide", this.hide);
    this.release();
    this.viewer.dispose();
  }
}
