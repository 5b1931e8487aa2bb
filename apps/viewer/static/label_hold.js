/** What is on a page stays its reader's: the store's lease of five minutes is renewed while somebody is there. */

import { tellStore } from "./label_ask.js";

const BEAT = 60_000; // ms between two renewals
const AWAY = 1_800_000; // ms without a key or the mouse: a page that was left open keeps no case from the others
const SIGNS = ["keydown", "pointermove", "pointerdown", "wheel"];

export class Hold {
  constructor(page) {
    this.page = page;
    this.here = () => (this.seen = performance.now());
    this.here();
    SIGNS.forEach((sign) => window.addEventListener(sign, this.here, { capture: true, passive: true }));
    this.timer = setInterval(() => this.beat(), BEAT);
  }

  beat() {
    const cases = this.page.held();
    if (this.page.reader && cases.length && performance.now() - this.seen < AWAY) {
      tellStore(this.page.id, "hold", { reader: this.page.reader, cases });
    }
  }

  dispose() {
    clearInterval(this.timer);
    SIGNS.forEach((sign) => window.removeEventListener(sign, this.here, { capture: true }));
  }
}
