/** Mouse and pen on a pane: what each button, the wheel and the modifiers do. */

import { panned, zoomed } from "./view.js";
import { dragged, dragScale } from "./windows.js";

const NOTCH = 60; // wheel delta in CSS pixels that makes one slice

/** What a press starts: by button and modifier first, else by the tool that is on. */
export function gesture({ button, shiftKey }, tool) {
  if (button === 2) {
    return "window";
  }
  if (button === 1 || shiftKey) {
    return "pan";
  }
  return tool;
}

/** Listen on a pane. */
export function watch(pane) {
  const viewer = pane.viewer;
  let drag = null;
  let turned = 0;
  const local = (event) => {
    const box = pane.element.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };

  const down = (event) => {
    if (!pane.drawn) {
      return;
    }
    const [x, y] = local(event);
    viewer.activate(pane);
    viewer.cine.stop();
    const near = pane.mode === "swipe" && event.button === 0 && Math.abs(x - pane.swipe * pane.width) < 12;
    drag = { kind: near ? "swipe" : gesture(event, viewer.tool), x, y, series: pane.seriesAt(x) };
    pane.element.setPointerCapture(event.pointerId);
    event.preventDefault();
    pane.element.focus({ preventScroll: true });
    if (drag.kind === "distance") {
      viewer.measure.click(pane, pane.at(x, y).mm);
    }
    act(x, y);
  };

  const act = (x, y) => {
    const [dx, dy] = [x - drag.x, y - drag.y];
    if (drag.kind === "crosshair") {
      viewer.moveTo(pane.snapped(x, y));
    } else if (drag.kind === "swipe") {
      pane.swipe = Math.min(Math.max(x / pane.width, 0.02), 0.98);
      viewer.invalidate();
    } else if (drag.kind === "pan") {
      viewer.setView(pane.plane, panned(viewer.views[pane.plane], pane.grid, pane.lie(), pane.slice, dx, dy));
    } else if (drag.kind === "zoom") {
      zoomAt(Math.exp(-dy / 150), x, y);
    } else if (drag.kind === "window" && (dx || dy)) {
      const { series } = drag;
      viewer.setWindow(series, dragged(viewer.windowOf(series), dx, dy, dragScale(viewer.volumes[series].meta)));
    }
    drag.x = x;
    drag.y = y;
  };

  const zoomAt = (factor, x, y) => {
    viewer.setView(pane.plane, zoomed(viewer.views[pane.plane], pane.grid, pane.lie(), pane.slice, factor, x, y));
  };

  const move = (event) => {
    if (!pane.drawn) {
      return;
    }
    const [x, y] = local(event);
    if (drag) {
      act(x, y);
    }
    if (viewer.tool === "distance") {
      viewer.measure.move(pane, pane.at(x, y).mm);
    }
    viewer.point(pane, x, y);
  };

  const up = () => {
    drag = null;
  };

  const wheel = (event) => {
    event.preventDefault();
    if (!pane.drawn) {
      return;
    }
    viewer.activate(pane);
    if (event.ctrlKey) {
      zoomAt(Math.exp(-event.deltaY / 300), ...local(event));
      return;
    }
    turned += event.deltaMode === 1 ? event.deltaY * 33 : event.deltaY;
    const whole = Math.abs(event.deltaY) >= NOTCH ? Math.sign(turned) : Math.trunc(turned / NOTCH);
    if (whole) {
      turned = 0;
      viewer.step(pane.plane, -whole, pane.mode === "plain" ? pane.series : viewer.pair[0]);
    }
  };

  const node = pane.element;
  node.addEventListener("pointerdown", down);
  node.addEventListener("pointermove", move);
  node.addEventListener("pointerup", up);
  node.addEventListener("pointercancel", up);
  node.addEventListener("pointerleave", () => viewer.point(null));
  node.addEventListener("wheel", wheel, { passive: false });
  node.addEventListener("contextmenu", (event) => event.preventDefault());
  node.addEventListener("auxclick", (event) => event.preventDefault());
}
