/** The 3-D pane: NiiVue draws a small copy of the first series, made here. Nothing is asked of the server but NiiVue. */

import { mapOf, style } from "./anomaly.js";
import { el, say } from "./dom.js";
import { nifti, reduceGently } from "./reduce.js";

const LIMIT = 128; // voxels a side: what software rendering turns in good time
const THROUGH = 0.35; // opacity of the series where a map lies in it: what is inside must be seen from outside
const MAP_COLOURS = "warm"; // bright from the threshold on: the dark end of "hot" is lost inside a volume
const SETTLE = 250; // ms without a change before colours are computed anew
const SOURCE = "/asset/vendor/niivue.js";
let library = null;

/** NiiVue, loaded once a page; a failed try may be repeated. */
function load() {
  library ??= import(new URL(SOURCE, document.baseURI).href).catch((error) => {
    library = null;
    throw error;
  });
  return library;
}

/** True where this browser can draw in 3-D. */
function able() {
  return Boolean(document.createElement("canvas").getContext("webgl2"));
}

export function attach(viewer) {
  const pane = new Pane3d(viewer);
  const look = () => pane.look();
  ["layout", "loaded"].forEach((event) => viewer.on(event, look));
  viewer.on("crosshair", () => pane.move());
  viewer.on("overlay", () => pane.recolour());
  viewer.on("draw", () => pane.recolour());
  viewer.on("picture", () => pane.nv?.drawScene());
  viewer.on("dispose", () => pane.dispose());
  look();
}

class Pane3d {
  constructor(viewer) {
    this.viewer = viewer;
    this.message = el("div", { class: "message" });
    this.turn = 0;
    this.shown = "";
  }

  get visible() {
    return this.viewer.cell3d.isConnected;
  }

  /** What should be drawn: the series of single panes and the map on it, once both have arrived. */
  wanted() {
    const base = this.viewer.volumes[this.viewer.shown];
    const map = mapOf(this.viewer);
    const over = map && map.overlay.on === this.viewer.shown ? map.overlay.volume : null;
    return { base, over, key: `${base?.id} ${over?.id}`, ready: base?.complete && (!over || over.complete || over.error) };
  }

  /** Draw where the pane has come into sight or other series have arrived. */
  async look() {
    const { key, ready, base } = this.wanted();
    if (!this.visible || this.shown === key) {
      return;
    }
    this.viewer.cell3d.append(this.message);
    if (base?.error) {
      say(this.message, base.error);
      return;
    }
    say(this.message, "Preparing the 3-D picture ...");
    if (!ready) {
      this.clear();
      return;
    }
    this.shown = key;
    this.turn += 1;
    const { turn } = this;
    try {
      await this.open(() => turn !== this.turn || this.viewer.disposed);
    } catch (error) {
      if (turn === this.turn) {
        this.shown = "";
        this.fail(error);
      }
    }
  }

  async open(stale) {
    if (!able()) {
      say(this.message, "This browser cannot draw in 3-D (it has no WebGL 2). The planes work as always.");
      return;
    }
    style(this.viewer);
    const { base, over } = this.wanted();
    const nv = await this.engine();
    const images = [await reduceGently(grid(base), LIMIT, "mean", stale)];
    if (over?.complete) {
      images.push(await reduceGently(grid(over), LIMIT, "max", stale));
    }
    if (stale() || images.includes(null)) {
      return;
    }
    this.empty(nv);
    const { NVImage } = await load();
    for (const [n, image] of images.entries()) {
      nv.addVolume(await NVImage.new(nifti(image), n ? "map.nii" : "series.nii", n ? MAP_COLOURS : "gray", 1, null, 0, 1));
    }
    this.over = images.length > 1;
    if (this.over) {
      nv.setOpacity(0, THROUGH);
    }
    this.coloured = "";
    this.paint();
    this.move();
    say(this.message, "");
  }

  /** The drawing engine, made once, on a canvas of its own. */
  async engine() {
    if (this.nv) {
      return this.nv;
    }
    const { Niivue, SLICE_TYPE } = await load();
    const canvas = el("canvas", { tabindex: -1, title: "Drag to turn" });
    this.viewer.cell3d.prepend(canvas);
    const nv = new Niivue({
      backColor: [0, 0, 0, 1], show3Dcrosshair: true, isOrientCube: true, dragAndDropEnabled: false, loadingText: "",
      crosshairColor: [0.3, 0.82, 0.65, 1], crosshairWidth: 1, logLevel: "silent", isResizeCanvas: true,
    });
    await nv.attachToCanvas(canvas, false);
    nv.setSliceType(SLICE_TYPE?.RENDER ?? 4);
    nv.setRenderAzimuthElevation(160, 15); // from the front, patient's right on the left
    nv.setScale(1.35);
    this.canvas = canvas;
    this.nv = nv;
    return nv;
  }

  /** Put the crosshair where it is in the planes. */
  move() {
    if (this.nv?.volumes.length && this.visible) {
      this.nv.scene.crosshairPos = this.nv.mm2frac(this.viewer.crosshair);
      this.nv.drawScene();
    }
  }

  recolour() {
    if (this.nv?.volumes.length && this.visible) {
      clearTimeout(this.soon);
      this.soon = setTimeout(() => this.paint(), SETTLE);
    }
  }

  /** Window, threshold and opacity as in the planes. Computes all colours anew: only where one has changed. */
  paint() {
    const { viewer, nv } = this;
    if (!nv?.volumes.length || viewer.disposed) {
      return;
    }
    const window = viewer.windowOf(viewer.shown);
    const map = this.over ? mapOf(viewer) : null;
    const layer = map && { ...viewer.overlayRange(map.overlay), shown: map.overlay.visible && !viewer.overlaysHidden };
    const key = JSON.stringify([window, layer, map?.overlay.opacity]);
    if (key === this.coloured) {
      return;
    }
    this.coloured = key;
    Object.assign(nv.volumes[0], { cal_min: window.lo, cal_max: window.hi });
    if (layer && nv.volumes[1]) {
      Object.assign(nv.volumes[1], { cal_min: layer.threshold, cal_max: layer.hi, opacity: layer.shown ? 1 : 0 });
    }
    nv.updateGLVolume();
  }

  empty(nv) {
    for (const volume of [...nv.volumes]) {
      nv.removeVolume(volume);
    }
  }

  /** Nothing of the series before stays in sight. */
  clear() {
    this.shown = "";
    this.turn += 1;
    if (this.nv?.volumes.length) {
      this.empty(this.nv);
      this.nv.drawScene();
    }
  }

  fail(error) {
    console.error(error);
    const missing = error instanceof TypeError && /import|fetch|module/i.test(error.message);
    say(this.message, missing
      ? "The 3-D part (NiiVue) is not installed here. Run make viewer in the folder of medudl, then reload this page."
      : "The 3-D picture could not be made in this browser. The planes work as always.");
  }

  dispose() {
    this.turn += 1;
    clearTimeout(this.soon);
    if (this.nv) {
      this.empty(this.nv);
      this.nv.cleanup();
      this.nv.gl.getExtension("WEBGL_lose_context")?.loseContext();
      this.canvas.remove();
      this.nv = null;
    }
  }
}

function grid(volume) {
  return { data: volume.data, shape: volume.shape, affine: volume.meta.affine };
}
