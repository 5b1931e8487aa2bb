/** Where points lie on the screen, which one is under the pointer, which lie inside a drawn outline. No DOM. */

/**
 * The view that shows all points: screen = (x - cx) * scale + width / 2, y upwards. One scale for both axes, so that
 * distances on the screen mean the same in every direction. Points without a place (null) are left out.
 */
export function fit(xs, ys, width, height, rim = 24) {
  const [x0, x1] = extent(xs);
  const [y0, y1] = extent(ys);
  const scale = Math.min((width - 2 * rim) / (x1 - x0 || 1), (height - 2 * rim) / (y1 - y0 || 1));
  return { cx: (x0 + x1) / 2, cy: (y0 + y1) / 2, scale: Math.max(scale, 1e-9) };
}

function extent(values) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of values) {
    if (value !== null) {
      low = Math.min(low, value);
      high = Math.max(high, value);
    }
  }
  return low > high ? [0, 1] : [low, high];
}

/** Screen places of all points: { x, y } Float32Array, NaN for those without a place. */
export function placed(xs, ys, view, width, height) {
  const x = new Float32Array(xs.length);
  const y = new Float32Array(xs.length);
  for (let n = 0; n < xs.length; n += 1) {
    const known = xs[n] !== null && ys[n] !== null;
    x[n] = known ? (xs[n] - view.cx) * view.scale + width / 2 : NaN;
    y[n] = known ? (view.cy - ys[n]) * view.scale + height / 2 : NaN;
  }
  return { x, y };
}

/** The view after zooming by `factor` at a place of the screen, which stays where it is. */
export function zoomed(view, sx, sy, factor, width, height) {
  const scale = view.scale * factor;
  const dx = sx - width / 2;
  const dy = sy - height / 2;
  return { scale, cx: view.cx + dx / view.scale - dx / scale, cy: view.cy - dy / view.scale + dy / scale };
}

/** The view after dragging by screen pixels. */
export function dragged(view, dx, dy) {
  return { ...view, cx: view.cx - dx / view.scale, cy: view.cy + dy / view.scale };
}

/** The row nearest to a place of the screen, within `radius` pixels; -1 for none. The later drawn wins a tie. */
export function under(places, x, y, radius = 9) {
  let best = radius * radius;
  let found = -1;
  for (let n = 0; n < places.x.length; n += 1) {
    const apart = (places.x[n] - x) ** 2 + (places.y[n] - y) ** 2;
    if (apart <= best) {
      best = apart;
      found = n;
    }
  }
  return found;
}

/** Rows inside a closed outline [[x, y], ...] (even-odd rule). */
export function within(places, outline) {
  const found = [];
  if (outline.length < 3) {
    return found;
  }
  const xs = outline.map((p) => p[0]);
  const ys = outline.map((p) => p[1]);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  for (let n = 0; n < places.x.length; n += 1) {
    const [x, y] = [places.x[n], places.y[n]];
    if (x >= left && x <= right && y >= top && y <= bottom && crossings(outline, x, y) % 2 === 1) {
      found.push(n);
    }
  }
  return found;
}

function crossings(outline, x, y) {
  let count = 0;
  for (let i = 0, j = outline.length - 1; i < outline.length; j = i, i += 1) {
    const [xi, yi] = outline[i];
    const [xj, yj] = outline[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) {
      count += 1;
    }
  }
  return count;
}

/** At most `count` of the rows, spread evenly over them; `turn` 1, 2, ... gives others. */
export function spread(rows, count, turn = 0) {
  if (rows.length <= count) {
    return [...rows];
  }
  const step = rows.length / count;
  return Array.from({ length: count }, (_, n) => rows[(Math.floor(n * step) + turn) % rows.length]);
}
