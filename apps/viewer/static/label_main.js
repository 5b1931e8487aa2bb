/** The entry of the Label component: one living page for each element it is mounted in. */

import { PaintingPage } from "./label_brush_page.js";
import { living } from "./living.js";

export const mount = living(
  (parent, data) => new PaintingPage(parent, data),
  (page, data) => page.id === data.id,
);
