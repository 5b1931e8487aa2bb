/** Looks at a toy in training until it ends. */

const EVERY = 400; // ms between two looks

export class Watch {
  /** show(told): what the toy drew last, at each look; fail(sentence). */
  constructor(kind, show, fail) {
    Object.assign(this, { kind, show, fail, began: null, timer: null });
  }

  /** Look from now on, unless this training is being looked at already. */
  follow(began) {
    if (began !== this.began) {
      this.began = began;
      this.look();
    }
  }

  async look() {
    clearTimeout(this.timer);
    const { began } = this;
    let told = null;
    try {
      const answer = await fetch(new URL(`/embedding/toy/${this.kind}`, document.baseURI).href);
      told = answer.ok ? await answer.json() : null;
    } catch {
      told = null;
    }
    if (began !== this.began) {
      return;
    }
    if (told === null) {
      this.fail("The viewer does not answer. Is it still running?");
    } else {
      this.show(told);
    }
    if (told === null || told.running) {
      this.timer = setTimeout(() => this.look(), told === null ? 5 * EVERY : EVERY);
    }
  }

  dispose() {
    this.began = null;
    clearTimeout(this.timer);
  }
}
