/** The viewer of the Label page: it holds scans that are not shown yet, and tells when the one on the screen is whole. */

import { Viewer } from "./viewer.js";
import { Volume } from "./volume.js";

export class LabelViewer extends Viewer {
  constructor(parent) {
    super(parent);
    this.ahead = []; // volumes that wait: the next case's, and those of cases that are come back to
    this.opened = true; // the slice in the address belongs to another page
  }

  held() {
    return this.counting ? super.held() : [...new Set([...super.held(), ...(this.ahead ?? [])])];
  }

  /** Fetch the scans of a case that is not shown yet. */
  prepare(series) {
    for (const about of series) {
      if (!this.held().some((volume) => volume.id === about.id && !volume.error)) {
        const volume = new Volume(about);
        this.ahead.push(volume);
        volume.load((meta) => Math.floor((meta.shape[2] - 1) / 2), () => this.arrived(volume));
      }
    }
  }

  /** Keep what is shown now: it is come back to. */
  park() {
    this.ahead.push(...this.volumes.filter((volume) => !this.ahead.includes(volume)));
  }

  /** Let go of what waits, but for the scans with these ids. */
  keep(ids) {
    const gone = this.ahead.filter((volume) => !ids.has(volume.id));
    this.ahead = this.ahead.filter((volume) => ids.has(volume.id));
    gone.filter((volume) => !this.volumes.includes(volume)).forEach((volume) => volume.dispose());
  }

  open(data) {
    super.open(data);
    this.ahead = this.ahead.filter((volume) => !this.volumes.includes(volume));
    this.settlePlace(); // what was fetched before will not arrive again
  }

  arrived(volume) {
    if (!this.ahead.includes(volume)) {
      super.arrived(volume);
    }
  }

  /** Every voxel is here and every pane has drawn it. */
  get whole() {
    const ids = this.volumes.map((volume) => volume.id);
    return ids.length > 0 && this.volumes.every((volume) => volume.complete)
      && this.panes.every((pane) => pane.drawn && ids.includes(pane.drawn.seriesId));
  }

  /** Why the case cannot be judged, "" where it can. */
  get trouble() {
    return this.volumes.find((volume) => volume.error)?.error ?? "";
  }

  progress() {
    this.counting = true;
    try {
      return super.progress();
    } finally {
      this.counting = false;
    }
  }

  settle() {
    // The slice of a case that is soon another one has no place in the address.
  }

  async extend(extra, before) {
    await super.extend(extra, before);
    if (before === undefined && !this.disposed) {
      this.emit("extended");
    }
  }
}

/** Several series of a study lie side by side; more than four come one after the other (Shift t). */
export function layoutOf(series) {
  return series.length > 1 && series.length <= 4 ? "side" : "planes";
}
