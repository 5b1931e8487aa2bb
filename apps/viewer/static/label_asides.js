/** What a reader does beside labelling: own labels again, a training begun, conflicts decided. Base of `Labelling`. */

export class Asides {
  /** key of what is asked, a yes to come: { key, run }. chosen: place in the list of own labels, -1 for none. */
  constructor() {
    Object.assign(this, { chosen: -1, mode: "reading", asking: null });
  }

  choose() {
    if (!this.asking && this.history?.length && !this.saving.pending && this.mode === "reading") {
      this.chosen = 0;
      this.panel.list(this.history, 0);
    }
  }

  /** True: the arrow was meant for the list of labels. */
  move(by) {
    if (this.chosen < 0) {
      return false;
    }
    this.chosen = Math.min(Math.max(this.chosen + by, 0), this.history.length - 1);
    this.panel.list(this.history, this.chosen);
    return true;
  }

  async openLabel(event) {
    this.leave();
    if (this.saving.busy || this.saving.pending || this.mode !== "reading") {
      return;
    }
    try {
      this.comeBack((await this.ask("open", { event }, 120_000)).next);
    } catch (error) {
      this.panel.warn(error.message);
    }
  }

  enter() {
    if (this.asking) {
      const { run } = this.asking;
      this.asking = null;
      run();
    } else if (this.chosen >= 0) {
      this.openLabel(this.history[this.chosen].event);
    } else if (this.stuck) {
      this.panel.warn("");
      this.advance();
    }
  }

  /** Escape: leave what was begun, the innermost first. True: there was something. */
  leave() {
    if (this.asking) {
      this.asking = null;
      this.tell("");
    } else if (this.chosen >= 0) {
      this.chosen = -1;
      this.panel.list(this.history);
    } else if (this.now?.edits && this.parked.length && !this.saving.pending) {
      this.show(this.parked.pop());
      this.tidy();
    } else if (this.mode === "adjudicating" && !this.saving.pending) {
      this.endAdjudicating();
    } else {
      return false;
    }
    return true;
  }

  /** The same key, or Enter, a second time is a yes. */
  confirm(key, words, run) {
    if (this.asking?.key === key) {
      this.enter();
    } else if (!this.saving.pending && !this.saving.busy && this.chosen < 0 && this.reader) {
      this.asking = { key, run };
      this.panel.tell(words, "asks");
    }
  }

  train() {
    if (!this.training || this.training.alive || this.training.lack) {
      this.tell(this.training?.alive ? "A training is at work already." : this.training?.lack ?? "");
      return;
    }
    this.confirm("t", "Train now? T or Enter starts it, Esc does not.", async () => {
      try {
        this.take(await this.ask("train"));
        this.tell("The training has begun. You may go on labelling.");
      } catch (error) {
        this.panel.warn(error.message);
      }
    });
  }

  adjudicate() {
    if (this.mode === "adjudicating") {
      this.saving.pending || this.endAdjudicating();
      return;
    }
    this.confirm("j", "Adjudicate? You will see what each reader said, so that you are no blind reader of those cases. J or Enter goes on, Esc does not.", async () => {
      this.mode = "adjudicating";
      this.tell("");
      this.decided = [];
      if (this.now) {
        this.viewer.park();
        this.parked.push(this.now);
      }
      await this.nextConflict();
    });
  }

  async nextConflict() {
    try {
      const { next, count } = await this.ask("conflict", { avoid: this.decided }, 120_000);
      if (next) {
        this.decided.push(next.case);
        this.show({ ...next, head: `Adjudicate: ${count} to decide` });
      } else {
        this.endAdjudicating();
        this.tell("No conflict is left to decide.");
      }
    } catch (error) {
      this.endAdjudicating();
      this.panel.warn(error.message);
    }
  }

  endAdjudicating() {
    this.mode = "reading";
    this.tell("");
    this.advance();
  }
}
