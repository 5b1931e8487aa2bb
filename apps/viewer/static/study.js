/** The series of a scene: opening them, loading them, and telling others. */

import { sliceInAddress } from "./address.js";
import { apply } from "./geometry.js";
import { Scene } from "./scene.js";
import { Volume } from "./volume.js";

export class Study extends Scene {
  constructor() {
    super();
    this.listeners = new Map();
    this.generation = 0;
  }

  on(event, fn) {
    this.listeners.set(event, [...(this.listeners.get(event) ?? []), fn]);
  }

  emit(event, value) {
    (this.listeners.get(event) ?? []).forEach((fn) => fn(value));
    if (event === "crosshair") {
      this.settle();
    }
  }

  /** Every volume that is shown or laid over. */
  held() {
    return [...new Set([...this.volumes, ...this.overlays.map((overlay) => overlay.volume)])];
  }

  /** Show other series. Nothing of the ones before stays on the screen; what is still wanted is not loaded again. */
  open(data) {
    this.generation += 1;
    this.cine.stop();
    this.measure.clear();
    const old = this.held();
    const [last, next] = [this.volumes[0]?.about, data.series[0]];
    const same = last?.id === next?.id;
    this.keeping = Boolean(last?.subject) && last.subject === next?.subject; // of one patient the place is kept
    const fresh = [];
    const volumeOf = (about) => {
      const kept = [...old, ...fresh].find((volume) => volume.id === about.id && !volume.error);
      const volume = kept ?? new Volume(about);
      volume.about = about;
      if (!kept) {
        fresh.push(volume);
      }
      return volume;
    };
    this.volumes = data.series.map(volumeOf);
    this.overlays = data.overlays.map((about) => ({ volume: volumeOf(about), about, visible: about.visible, ...overlayState(about) }));
    const used = this.held();
    old.filter((volume) => !used.includes(volume)).forEach((volume) => volume.dispose());
    if (!same) {
      this.blankState();
      this.moved = false;
      this.placed = false;
    }
    this.grids.clear();
    this.shown = 0;
    this.pair = [0, Math.min(1, this.volumes.length - 1)];
    this.panes.forEach((pane) => pane.empty());
    this.setLayout(this.wanted ?? data.layout);
    fresh.forEach((volume) => volume.load((meta) => this.firstSlice(volume, meta), () => this.arrived(volume)));
    if (!fresh.length) {
      this.emit("loaded");
    }
    clearInterval(this.ticking);
    this.ticking = setInterval(() => this.tell(), 200);
  }

  /** Ask again for what could not be read. */
  retry() {
    this.open(this.data);
  }

  /** The slice along a volume's third axis that is needed first. */
  firstSlice(volume, meta) {
    this.settlePlace();
    const k = Math.round(apply(volume.inverse, this.crosshair)[2]);
    return Math.min(Math.max(k, 0), meta.shape[2] - 1);
  }

  /** Put the crosshair where the address or the page asks, once the first series is known. */
  settlePlace() {
    if (this.placed || !this.volumes[this.reference]?.meta) {
      return;
    }
    this.placed = this.volumes[0].meta !== null || this.volumes[0].error !== "";
    this.grids.clear();
    this.plane = this.data.start?.plane ?? this.native;
    if (!this.moved && !(this.keeping && this.covers(this.crosshair))) {
      this.startAt(this.data.start?.slice ?? (this.opened ? null : sliceInAddress()));
      if (this.data.start?.mm) {
        this.crosshair = [...this.data.start.mm];
      }
    }
    this.crosshairShown ??= this.volumes[this.reference].shape[2] > 1; // over a film it only hides what is to be seen
    if (this.opened) {
      this.settle(); // the address still names a slice of the series before
    }
    this.opened = this.placed;
    this.setLayout(this.wanted);
  }

  arrived(volume) {
    if (this.disposed || !this.held().includes(volume)) {
      return;
    }
    this.settlePlace();
    this.invalidate();
    if (volume.complete) {
      this.emit("loaded", volume);
    }
  }

  progress() {
    const open = this.held().filter((v) => !v.complete && !v.error);
    if (!open.length) {
      clearInterval(this.ticking);
      return "";
    }
    const mb = (bytes) => (bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0);
    const [done, all] = [0, 1].map((n) => open.reduce((sum, v) => sum + (n ? (v.bytes?.length ?? 0) : v.received), 0));
    const seconds = (performance.now() - Math.min(...open.map((v) => v.started))) / 1000;
    return all ? `Loading ${mb(done)} of ${mb(all)} MB · ${seconds.toFixed(1)} s` : `Reading the series · ${seconds.toFixed(1)} s`;
  }
}

/** What an overlay looks like, of what the page sent. */
export function overlayState({ on, colormap, opacity, threshold, top, title }) {
  return { on, colormap, opacity, threshold, top, title };
}
