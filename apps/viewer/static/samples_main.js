/** The entry of the Samples component: one living page part for each element it is mounted in. */

import { Course } from "./samples_course.js";
import { Gallery } from "./samples_gallery.js";
import { Reading } from "./samples_reading.js";
import { Walking } from "./samples_walk.js";

const PARTS = { gallery: Gallery, course: Course, walk: Walking, reading: Reading };
const living = new WeakMap(); // parent element -> { part, view, turn }

/** Called at the first mount and again at each rerun of the page. Returns the cleanup of this turn. */
export function mount(component) {
  const parent = component.parentElement;
  let entry = living.get(parent);
  if (entry && entry.view !== component.data.view) {
    entry.part.dispose();
    entry = null;
  }
  if (!entry) {
    entry = { part: new PARTS[component.data.view](parent), view: component.data.view, turn: 0 };
    living.set(parent, entry);
  }
  entry.turn += 1;
  const turn = entry.turn;
  entry.part.update(component.data);
  return () => {
    if (entry.turn === turn) {
      living.delete(parent);
      entry.part.dispose();
    }
  };
}
