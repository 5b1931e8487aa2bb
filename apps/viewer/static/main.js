/** The entry of the Streamlit component: one living viewer for each element it is mounted in. */

import { living } from "./living.js";
import { Viewer } from "./viewer.js";

export const mount = living(
  (parent) => new Viewer(parent),
  () => true,
  (viewer, component) => {
    viewer.report = (name, value) => component.setStateValue(name, value);
    viewer.update(component.data);
  },
);
