/** From a key to the disk: one event at a time, kept until the store has it. */

import { eventId } from "./label_ask.js";

const LONGEST = 3600; // seconds: who was away for longer has not read for longer

const SAVED = { undo: "Taken back.", skip: "Skipped. It comes back when all else is done.", flag: "Flagged. It comes to no other reader." };

export class Saving {
  constructor(page) {
    this.page = page;
    this.pending = null; // an event that nobody has confirmed
    this.busy = false;
    this.seconds = [];
    this.times = []; // for tests: { saved, painted } in ms after the key
    this.place = `medudl-label-${page.id}`;
  }

  /** The reader of this tab's session, "" before there is one. */
  get reader() {
    return this.kept("reader") ?? "";
  }

  remember(name) {
    this.keep("reader", name);
  }

  /** What a label takes in this session, "" before the first. */
  get pace() {
    const n = this.seconds.length;
    const mean = this.seconds.reduce((sum, one) => sum + one, 0) / Math.max(n, 1);
    return n ? `This session: ${mean < 60 ? `${mean.toFixed(0)} s` : `${(mean / 60).toFixed(1)} min`} a label` : "";
  }

  /** event: the key or click, whose time is where the clock starts. */
  async save(what, event = null) {
    const { page } = this;
    const seconds = page.painted ? Math.min((performance.now() - page.painted) / 1000, LONGEST) : null;
    this.key = event?.timeStamp ?? performance.now();
    await this.send({ ...what, id: eventId(), seconds, ranking: page.now?.ranking ?? "" });
  }

  /** The same key again: the same event again. Another key is not taken meanwhile. */
  retry(word) {
    const own = wordOf(this.pending);
    if (own === word && !this.busy) {
      this.send(this.pending);
    } else if (!this.busy) {
      this.page.panel.warn(`"${own}" is NOT saved yet. The same key again saves it; other keys wait until it is.`);
    }
  }

  /** What an earlier life of this page could not save. */
  async again() {
    const left = this.kept("pending");
    if (left && left.reader === this.page.reader) {
      await this.send(left.event, true);
    }
  }

  async send(pending, old = false) {
    const { page } = this;
    this.busy = true;
    this.pending = pending;
    this.keep("pending", { reader: page.reader, event: pending });
    page.panel.tell("Saving ...");
    let answer;
    try {
      answer = await page.ask("save", pending);
    } catch (error) {
      this.failed(pending, error);
      return;
    }
    this.pending = null;
    this.busy = false;
    this.keep("pending", null);
    page.panel.warn("");
    await this.saved(pending, answer, old);
  }

  failed(pending, error) {
    const { page } = this;
    this.busy = false;
    page.panel.tell("");
    if (error.sure) {
      this.pending = null;
      this.keep("pending", null);
      page.panel.warn(`"${wordOf(pending)}" was not saved: ${error.message}`);
    } else {
      page.panel.warn(`"${wordOf(pending)}" is NOT saved. ${error.message} Then press the same key again.`);
    }
  }

  async saved(pending, answer, old) {
    const { page } = this;
    const { kind, value, seconds } = pending;
    page.panel.tell(old ? `Saved now: ${wordOf(pending)}, which could not be saved before.` : SAVED[kind] ?? `Saved: ${value}`, "saved");
    this.times.push({ saved: performance.now() - this.key, painted: null });
    if (kind === "label" && seconds !== null && !pending.edits) {
      this.seconds.push(seconds);
    }
    page.panel.news("");
    page.take(answer.state);
    if (kind === "undo") {
      page.panel.before("", null);
      page.comeBack({ head: "Taken back: label it anew", ...answer.next });
    } else if (kind !== "flag") {
      page.panel.before(kind === "skip" ? "You skipped it." : `You said ${value}.${answer.opinion ? " The model:" : ""}`, answer.opinion);
      // After an earlier life of this page the case on the screen may be another one.
      await (old ? null : page.advance());
    }
  }

  /** A case is whole on the screen since `at`. */
  shown(at) {
    const last = this.times.at(-1);
    if (last && last.painted === null) {
      last.painted = at - this.key;
    }
  }

  kept(name) {
    try {
      return JSON.parse(sessionStorage.getItem(`${this.place}-${name}`));
    } catch {
      return null;
    }
  }

  keep(name, value) {
    try {
      sessionStorage.setItem(`${this.place}-${name}`, JSON.stringify(value));
    } catch {
      return; // a browser that keeps nothing: the page itself still does
    }
  }
}

/** What an event is called on the screen. */
function wordOf({ kind, value }) {
  return ["skip", "undo", "flag"].includes(kind) ? kind : value;
}
