/** What the parts of the Anomalies page share: the map among the overlays, a panel at the side, their style. */

import { el } from "./dom.js";

/** { n, overlay } of the anomaly map that lies on a series, null where there is none. */
export function mapOf(viewer) {
  const n = viewer.overlays.findIndex((overlay) => overlay.about.role === "anomaly");
  return n < 0 ? null : { n, overlay: viewer.overlays[n] };
}

/** The threshold above which the map is shown now; null without a map. */
export function thresholdOf(viewer) {
  const found = mapOf(viewer);
  return found?.overlay.volume.meta ? viewer.overlayRange(found.overlay).threshold : null;
}

/** A new section at the right of the pictures; `order` puts it above those with a higher one. */
export function panel(viewer, order, ...children) {
  style(viewer);
  const section = el("section", { class: "part", "data-order": order }, ...children);
  const after = [...viewer.side.children].find((other) => Number(other.dataset.order) > order);
  viewer.side.insertBefore(section, after ?? null);
  return section;
}

/** Load the style of these parts once. */
export function style(viewer) {
  if (!viewer.root.querySelector("link.anomaly")) {
    const href = new URL("/asset/anomaly.css", document.baseURI).href;
    viewer.root.prepend(el("link", { class: "anomaly", rel: "stylesheet", href }));
  }
}

/** Call `run(extra)` now and whenever the page sends something else. */
export function follow(viewer, extra, run) {
  run(extra ?? {});
  viewer.on("extra", (next) => run(next ?? {}));
}
