/** The list of unusual areas: where, how large, how far they stand out. A click goes there. */

import { follow, panel, thresholdOf } from "./anomaly.js";
import { el, say } from "./dom.js";
import { apply } from "./geometry.js";
import { scoreText } from "./rate.js";

/**
 * extra.findings: [{ number, mm (RAS), place, volume_ml, peak }], highest peak first; extra.total: how many areas there
 * are; extra.listed: the threshold they were found above; extra.trouble: a sentence in their place.
 */
export function attach(viewer, extra) {
  let part = null;
  follow(viewer, extra, (now) => {
    if (now.findings && !part) {
      part = build(viewer);
    }
    part?.show(now);
  });
}

/** "0.26 ml", "18 ml", "< 0.01 ml". */
export function volumeText(ml) {
  if (ml < 0.01) {
    return "< 0.01 ml";
  }
  return `${ml >= 10 ? ml.toFixed(0) : ml >= 1 ? ml.toFixed(1) : ml.toFixed(2)} ml`;
}

/** Heading of the list. listed: the threshold of the list; now: the slider's, which may differ while it moves. */
export function heading(total, listed, now) {
  if (now !== null && Math.abs(now - listed) > 1e-6 * Math.abs(listed)) {
    return "Let go of the slider to list the areas anew";
  }
  return total === 0 ? "No unusual area" : `${total} unusual ${total === 1 ? "area" : "areas"}`;
}

function build(viewer) {
  let told = null;
  let rows = [];
  const title = el("h2", {});
  const list = el("ol", {});
  const rest = el("p", { class: "quiet" });
  const section = panel(viewer, 2, title, list, rest);

  const row = (finding) => {
    const slice = el("span", {});
    const button = el(
      "button", { type: "button", class: "finding", title: "Go there" },
      el("span", { class: "count" }, String(finding.number)),
      el("span", { class: "about" },
        el("span", { class: "place" }, finding.place || "unusual area"),
        el("span", { class: "size" }, slice, ` · ${volumeText(finding.volume_ml)} · peak ${scoreText(finding.peak)}`)),
    );
    button.addEventListener("click", () => {
      viewer.moveTo(finding.mm);
      button.blur();
    });
    return { finding, slice, button, element: el("li", {}, button) };
  };

  const refresh = () => {
    const now = thresholdOf(viewer);
    say(title, told.trouble || heading(told.total, told.listed, now));
    for (const { finding, slice, button } of rows) {
      say(slice, viewer.ready ? `slice ${sliceOf(viewer, finding.mm)}` : "");
      button.classList.toggle("below", now !== null && finding.peak <= now);
      const here = Math.hypot(...finding.mm.map((x, n) => x - viewer.crosshair[n])) < 0.5;
      button.classList.toggle("here", here);
    }
  };
  viewer.on("overlay", () => told && refresh());
  viewer.on("loaded", () => told && refresh());
  viewer.on("crosshair", () => told && refresh());
  return {
    show(extra) {
      told = extra.findings ? extra : null;
      section.hidden = !told;
      rows = told ? told.findings.map(row) : [];
      list.replaceChildren(...rows.map(({ element }) => element));
      const more = told ? told.total - told.findings.length : 0;
      say(rest, more > 0 ? `and ${more} more, all of them lower. Raise the threshold to shorten the list.` : "");
      if (told) {
        refresh();
      }
    },
  };
}

/** Number (from 1) of the slice that holds mm, in the plane the first series was taken in. */
function sliceOf(viewer, mm) {
  return Math.round(apply(viewer.gridOf(viewer.reference, viewer.native).toPicture, mm)[2]) + 1;
}
