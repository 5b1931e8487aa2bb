/** The entry of the Label component: one living page for each element it is mounted in. */

import { PaintingPage } from "./label_brush_page.js";

const living = new WeakMap(); // parent element -> { page, turn }

/** Called at the first mount and again at each rerun of the page. Returns the cleanup of this turn. */
export function mount(component) {
  const parent = component.parentElement;
  let entry = living.get(parent);
  if (entry && entry.page.id !== component.data.id) {
    entry.page.dispose();
    entry = null;
  }
  if (!entry) {
    entry = { page: new PaintingPage(parent, component.data), turn: 0 };
    living.set(parent, entry);
  }
  entry.turn += 1;
  const turn = entry.turn;
  return () => {
    if (entry.turn === turn) {
      living.delete(parent);
      entry.page.dispose();
    }
  };
}
