/** Cine: slices one after the other. */

export const SPEEDS = [2, 5, 10, 15, 25]; // slices a second

export class Cine {
  constructor(viewer) {
    this.viewer = viewer;
    this.speed = 10;
    this.timer = null;
  }

  get running() {
    return this.timer !== null;
  }

  /** loop: begin again after the last slice, else stop there. */
  toggle(loop) {
    if (this.running) {
      this.stop();
      return;
    }
    if (!this.viewer.ready) {
      return;
    }
    this.loop = loop;
    this.run();
  }

  run() {
    clearInterval(this.timer);
    this.timer = setInterval(() => this.next(), 1000 / this.speed);
    this.viewer.status(`Cine: ${this.speed} slices a second${this.loop ? ", again and again" : ", once"} (. faster, , slower)`);
  }

  next() {
    const viewer = this.viewer;
    const count = viewer.gridOf(viewer.reference, viewer.plane).size[2];
    const slice = viewer.sliceOf(viewer.plane);
    if (slice < count - 1 || this.loop) {
      viewer.goTo(viewer.plane, (slice + 1) % count);
    } else {
      this.stop();
    }
  }

  faster(by) {
    const n = SPEEDS.indexOf(this.speed) + by;
    this.speed = SPEEDS[Math.min(Math.max(n, 0), SPEEDS.length - 1)];
    if (this.running) {
      this.run();
    } else {
      this.viewer.status(`Cine: ${this.speed} slices a second`);
    }
  }

  stop() {
    if (this.running) {
      clearInterval(this.timer);
      this.timer = null;
      this.viewer.status("");
    }
  }
}
