/** The entry of the Streamlit component: one living viewer for each element it is mounted in. */

import { Viewer } from "./viewer.js";

const living = new WeakMap(); // parent element -> { viewer, turn }

/**
 * Called at the first mount and again at each rerun of the page. component: { parentElement, data, setStateValue }.
 * Returns the cleanup of this turn: it ends the viewer unless a later turn has taken over.
 */
export function mount(component) {
  const parent = component.parentElement;
  let entry = living.get(parent);
  if (!entry) {
    entry = { viewer: new Viewer(parent), turn: 0 };
    living.set(parent, entry);
  }
  entry.turn += 1;
  const turn = entry.turn;
  entry.viewer.report = (name, value) => component.setStateValue(name, value);
  entry.viewer.update(component.data);
  return () => {
    if (entry.turn === turn) {
      living.delete(parent);
      entry.viewer.dispose();
    }
  };
}
