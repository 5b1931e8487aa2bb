/** Where a picture lies in its pane: zoom and pan in patient mm, so that linked panes match. No DOM. */

import { apply, column, length } from "./geometry.js";

export const MAX_ZOOM = 40;

/** The middle of a grid, in mm. */
export function middle(grid) {
  return apply(grid.toMm, grid.size.map((n) => (n - 1) / 2));
}

/**
 * How `grid` lies in a pane of width x height CSS pixels.
 *
 * reference: the grid whose whole extent fills the pane at zoom 1. view: { zoom, centre: mm or null }.
 * Returns { perColumn, perRow (CSS pixels a pixel), column, row (the picture's position at the pane's middle) }.
 */
export function place(grid, reference, view, width, height) {
  const spread = [0, 1].map((n) => reference.size[n] * length(column(reference.toMm, n)));
  const scale = Math.min(width / spread[0], height / spread[1]) * view.zoom; // CSS pixels a mm
  const [c, r] = apply(grid.toPicture, view.centre ?? middle(reference));
  return {
    perColumn: scale * length(column(grid.toMm, 0)), perRow: scale * length(column(grid.toMm, 1)),
    column: c, row: r, width, height, scale,
  };
}

/** Picture [c, r] under a point of the pane, fractional. */
export function toPicture(lie, x, y) {
  return [lie.column + (x - lie.width / 2) / lie.perColumn, lie.row + (y - lie.height / 2) / lie.perRow];
}

/** The point of the pane where picture [c, r] is drawn: the middle of that pixel. */
export function toPane(lie, c, r) {
  return [lie.width / 2 + (c - lie.column) * lie.perColumn, lie.height / 2 + (r - lie.row) * lie.perRow];
}

/** The view after zooming by `factor` with the mm under (x, y) kept where it is. */
export function zoomed(view, grid, lie, s, factor, x, y) {
  const zoom = Math.min(Math.max(view.zoom * factor, 0.2), MAX_ZOOM);
  const ratio = view.zoom / zoom;
  const [c, r] = toPicture(lie, x, y);
  const centre = apply(grid.toMm, [c + (lie.column - c) * ratio, r + (lie.row - r) * ratio, s]);
  return { zoom, centre };
}

/** The view after dragging the picture by dx, dy CSS pixels. */
export function panned(view, grid, lie, s, dx, dy) {
  const centre = apply(grid.toMm, [lie.column - dx / lie.perColumn, lie.row - dy / lie.perRow, s]);
  return { zoom: view.zoom, centre };
}
