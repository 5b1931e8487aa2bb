/** Grey pictures on canvases. */

import { el } from "./dom.js";

/** Put picture number n of an answer on a canvas, voxel by voxel; CSS scales it. */
export function paint(canvas, { data, h, w }, n = 0) {
  if (canvas.width !== w || canvas.height !== h) {
    canvas.width = w;
    canvas.height = h;
  }
  const image = new ImageData(w, h);
  const out = new Uint32Array(image.data.buffer);
  const start = n * h * w;
  for (let p = 0; p < h * w; p += 1) {
    const grey = data[start + p];
    out[p] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  // Kept in ordinary memory: sixty canvases on a graphics card, or on one made by software, take a second to make.
  canvas.getContext("2d", { willReadFrequently: true }).putImageData(image, 0, 0);
  canvas.classList.add("drawn");
}

/** A picture with a line under it: { figure, canvas, caption }. */
export function framed(title, name = "") {
  const canvas = el("canvas", { width: 1, height: 1, class: name });
  const caption = el("figcaption", {}, title);
  return { figure: el("figure", {}, canvas, caption), canvas, caption };
}

/** Buttons with a thumbnail each: row n of `rows` has picture n of the answer. */
export function thumbs(pictures, rows, { words = () => "", open, hover = () => {}, leave = () => {} }) {
  return rows.map((row, n) => {
    const canvas = el("canvas", {});
    paint(canvas, pictures, n);
    const word = words(row, n);
    return el(
      "button",
      { type: "button", class: "thumb", "data-row": row, title: "Open this case", onclick: () => open(row), onpointerenter: () => hover(row), onpointerleave: leave },
      canvas,
      word ? el("span", {}, word) : null,
    );
  });
}
