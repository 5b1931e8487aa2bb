/** The key table: one source of what the keyboard does and what the help says. */

import { PLANE_NAMES } from "./geometry.js";
import { nextPair } from "./layout.js";
import { zoomed } from "./view.js";
import { presetsOf } from "./windows.js";

export function addKeys(viewer) {
  [moving, looking, windowing, slabs, comparing, other].forEach((add) => add(viewer, (entry) => viewer.keys.add(entry)));
}

function pair(viewer) {
  return [viewer.plane, viewer.layout === "side" ? viewer.series : viewer.reference];
}

function moving(viewer, add) {
  const group = "Moving";
  const step = (count) => (event) => {
    viewer.cine.stop();
    viewer.step(viewer.plane, count * (event.key.startsWith("Arrow") && event.shiftKey ? 5 : 1), pair(viewer)[1]);
  };
  const ready = (run) => () => viewer.ready && run();
  add({ key: ["ArrowUp", "ArrowRight"], help: "next slice, towards the head, front or right (Shift: 5)", run: step(1), group });
  add({ key: ["ArrowDown", "ArrowLeft"], help: "slice before, towards the feet, back or left (Shift: 5)", run: step(-1), group });
  add({ key: "PageUp", help: "10 slices on", run: step(10), group });
  add({ key: "PageDown", help: "10 slices back", run: step(-10), group });
  add({ key: "Home", help: "first slice", run: ready(() => viewer.end(viewer.plane, false)), group });
  add({ key: "End", help: "last slice", run: ready(() => viewer.end(viewer.plane, true)), group });
  add({ key: "c", help: "cine: all slices, again and again", run: () => viewer.cine.toggle(true), group });
  add({ key: "C", label: "Shift c", help: "cine: all slices, once", run: () => viewer.cine.toggle(false), group });
  add({ key: ".", help: "faster cine", run: () => viewer.cine.faster(1), group });
  add({ key: ",", help: "slower cine", run: () => viewer.cine.faster(-1), group });
  add({ key: "Tab", help: "next plane is the active one", run: () => viewer.setPlane(after(PLANE_NAMES, viewer.plane)), group });
}

function after(names, name) {
  return names[(names.indexOf(name) + 1) % names.length];
}

function looking(viewer, add) {
  const group = "Looking";
  const zoom = (factor) => () => {
    const pane = viewer.panes.find((p) => p.plane === viewer.plane && p.drawn);
    if (pane) {
      const view = viewer.views[pane.plane];
      viewer.setView(pane.plane, zoomed(view, pane.grid, pane.lie(), pane.slice, factor, pane.width / 2, pane.height / 2));
    }
  };
  const toggle = (name) => () => {
    viewer[name] = !viewer[name];
    viewer.invalidate();
  };
  add({ key: ["+", "="], label: "+", help: "larger (Ctrl and wheel: at the pointer)", run: zoom(1.25), group });
  add({ key: "-", help: "smaller", run: zoom(0.8), group });
  add({ key: "r", help: "reset zoom, window and slab", run: () => viewer.reset(), group });
  add({ key: "o", help: "next layout", run: () => viewer.setLayout(after(viewer.layouts, viewer.layout)), group });
  add({ key: "x", help: "crosshair on or off", run: toggle("crosshairShown"), group });
  add({ key: "u", help: "voxels with sharp or smooth edges", run: toggle("smooth"), group });
  add({ key: "R", label: "Shift r", help: "patient's right on the left (radiological) or on the right", group, run: () => {
    viewer.neurological = !viewer.neurological;
    viewer.invalidate();
  } });
  add({ key: "y", help: "mm as LPS (DICOM) or RAS", run: () => {
    viewer.space = viewer.space === "LPS" ? "RAS" : "LPS";
    viewer.invalidate();
  }, group });
}

function windowing(viewer, add) {
  const group = "Window";
  const preset = (key) => () => {
    const volume = viewer.volumes[viewer.series];
    const found = volume?.meta && presetsOf(volume.meta).find((one) => one.key === key);
    if (found) {
      viewer.setWindow(viewer.series, found);
    }
  };
  const words = {
    1: "CT: soft tissue (W 400 L 40); else 1-99 %", 2: "CT: lung (W 1500 L -600); else the darker half",
    3: "CT: liver (W 150 L 90); else the brighter half", 4: "CT: bone (W 2500 L 480)", 5: "CT: brain (W 80 L 40)",
    0: "full range",
  };
  for (const key of ["1", "2", "3", "4", "5", "0"]) {
    add({ key, help: words[key], run: preset(key), group });
  }
  add({ key: "i", help: "invert: black becomes white", group, run: () => {
    viewer.inverted = !viewer.inverted;
    viewer.invalidate();
  } });
  add({ key: "w", help: "the left button sets the window (the right button always does)", run: () => viewer.setTool("window"), group });
}

function slabs(viewer, add) {
  const group = "Tools";
  add({ key: "m", help: "slab: brightest (MIP), average, darkest (MinIP), off", run: () => viewer.cycleSlab(), group });
  add({ key: "]", help: "thicker slab", run: () => viewer.thicken(1.25), group });
  add({ key: "[", help: "thinner slab", run: () => viewer.thicken(0.8), group });
  add({ key: "d", help: "distance: click two points; again to end", run: () => viewer.setTool("distance"), group });
  add({ key: "Backspace", help: "remove the last distance", run: () => viewer.measure.undo(), group });
  add({ key: "h", help: "the left button moves the picture (Shift and drag always does)", run: () => viewer.setTool("pan"), group });
  add({ key: "z", help: "the left button zooms", run: () => viewer.setTool("zoom"), group });
}

function comparing(viewer, add) {
  const group = "Comparing";
  const hide = (hidden) => () => {
    viewer.overlaysHidden = hidden;
    viewer.invalidate();
  };
  add({ key: " ", label: "Space (hold)", help: "hide the overlays", run: hide(true), up: hide(false), group });
  add({ key: "t", help: "next series in this pane", group, run: () => {
    viewer.shown = (viewer.shown + 1) % Math.max(viewer.volumes.length, 1);
    viewer.setLayout(viewer.layout);
  } });
  add({ key: "b", help: "swipe and difference with the next series", group, run: () => {
    viewer.pair = nextPair(viewer.data?.pairs?.[viewer.layout], viewer.pair, viewer.volumes.length);
    viewer.setLayout(viewer.layout);
  } });
  add({ key: "g", help: "difference: stronger colours", group, run: () => {
    viewer.differenceGain = viewer.differenceGain < 0.2 ? 1 : viewer.differenceGain / 2;
    viewer.invalidate();
  } });
}

function other(viewer, add) {
  const group = "Help";
  add({ key: "?", help: "this table", run: () => viewer.help.toggle(), group });
  add({ key: "Escape", help: "close, or put the tool away", group, run: () => {
    viewer.help.close();
    viewer.cine.stop();
    if (viewer.tool !== "crosshair") {
      viewer.setTool("crosshair");
    }
  } });
}
