/** Small clouds of points for the toys: flat ones, and one in space that can be turned. */

import { MISSING, PALETTE, ramp } from "./explore_colours.js";
import { fit, placed } from "./explore_space.js";

const TILT = 0.35; // radians by which the cloud in space is seen from above

/** Colours of points along a scale from 0 to 1. */
export function rising(values) {
  return values.map(ramp);
}

/** Colours by class; beyond the palette again from its beginning, paler. */
export function classes(values) {
  return values.map((value) => (value < 0 ? MISSING : PALETTE[value % PALETTE.length]));
}

/**
 * Draw points [[x, y], ...] on a canvas, one scale for both axes. square(n): whether point n is a square. circle: the
 * radius of a ring about the origin, 0 for none.
 */
export function flat(canvas, points, colours, square = () => false, circle = 0) {
  const { picture, width, height } = cleared(canvas);
  const xs = points.map((p) => p[0]);
  const ys = points.map((p) => p[1]);
  const view = fit([...xs, -circle, circle], [...ys, -circle, circle], width, height, 14);
  const { x, y } = placed(xs, ys, view, width, height);
  if (circle) {
    picture.strokeStyle = "#c4ced8";
    picture.beginPath();
    picture.arc(width / 2 - view.cx * view.scale, height / 2 + view.cy * view.scale, circle * view.scale, 0, 7);
    picture.stroke();
  }
  points.forEach((_, n) => dot(picture, x[n], y[n], colours[n], 2.4, square(n)));
}

/** Draw points [[x, y, z], ...] turned by `angle` about the upright axis; far points first. */
export function solid(canvas, points, colours, angle) {
  const { picture, width, height } = cleared(canvas);
  const turned = points.map(([x, y, z]) => {
    const across = x * Math.cos(angle) + z * Math.sin(angle);
    const deep = z * Math.cos(angle) - x * Math.sin(angle);
    return [across, y * Math.cos(TILT) - deep * Math.sin(TILT), deep * Math.cos(TILT) + y * Math.sin(TILT)];
  });
  const scale = Math.min(width, height) / 4.4;
  const order = turned.map((_, n) => n).sort((a, b) => turned[a][2] - turned[b][2]);
  for (const n of order) {
    const [x, y, deep] = turned[n];
    picture.globalAlpha = 0.55 + 0.18 * Math.max(-2, Math.min(2, deep));
    dot(picture, width / 2 + x * scale, height / 2 - y * scale, colours[n], 2.6, false);
  }
  picture.globalAlpha = 1;
}

function cleared(canvas) {
  const side = Math.round(canvas.clientWidth * (window.devicePixelRatio || 1)) || 320;
  if (canvas.width !== side || canvas.height !== side) {
    canvas.width = canvas.height = side;
  }
  const picture = canvas.getContext("2d");
  picture.clearRect(0, 0, side, side);
  return { picture, width: side, height: side };
}

function dot(picture, x, y, colour, radius, square) {
  picture.fillStyle = colour;
  if (square) {
    picture.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
    return;
  }
  picture.beginPath();
  picture.arc(x, y, radius, 0, 7);
  picture.fill();
}
