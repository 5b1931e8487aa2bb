/** A picture of the screen as a PNG: the panes with their letters, windows and marks, a scale, and what it is not for. */

import { el } from "./dom.js";
import { scoreText } from "./rate.js";
import { thresholdOf } from "./anomaly.js";

const NOTICE = "Research only, not for diagnosis";
const FOOT = 26; // CSS pixels under the panes
const FONT = "12px system-ui, sans-serif";

/** extra.screenshot: { name: of the file, words: who it shows }; without it a picture carries no name. */
export function attach(viewer, extra) {
  let told = extra?.screenshot ?? {};
  viewer.on("extra", (next) => {
    told = next?.screenshot ?? {};
  });
  const run = () => save(picture(viewer, told.words ?? ""), told.name ?? "medudl.png");
  viewer.keys.add({ key: "s", help: "save a picture of the screen", run, group: "Tools" });
  viewer.toolbar.add("link", { label: "PNG", title: "Save a picture of the screen", key: "s", run, shown: () => viewer.ready });
}

/** The words under the panes. */
export function footWords(words, threshold) {
  const shown = threshold === null ? "" : `unusual above ${scoreText(threshold)}`;
  return [words, shown, NOTICE].filter(Boolean).join("  ·  ");
}

/** Millimetres of a scale bar, 1, 2 or 5 times a power of ten, no longer than `most` CSS pixels at `scale` pixels a mm. */
export function barLength(scale, most) {
  const power = 10 ** Math.floor(Math.log10(most / scale));
  return [5, 2, 1].map((n) => n * power).find((mm) => mm * scale <= most);
}

/** A canvas with all panes as they are now, in device pixels. */
export function picture(viewer, words) {
  viewer.drawNow();
  const ratio = window.devicePixelRatio || 1;
  const stage = viewer.stage.getBoundingClientRect();
  const canvas = el("canvas", { width: Math.round(stage.width * ratio), height: Math.round((stage.height + FOOT) * ratio) });
  const g = canvas.getContext("2d");
  g.scale(ratio, ratio);
  g.fillStyle = "#000";
  g.fillRect(0, 0, stage.width, stage.height + FOOT);
  for (const pane of viewer.panes) {
    drawPane(g, pane, stage);
  }
  const solid = viewer.cell3d.isConnected && viewer.cell3d.querySelector("canvas");
  if (solid?.width && solid.height) {
    // Of no size while panes are being laid out: then there is nothing to copy, and drawing it would throw.
    viewer.emit("picture"); // a 3-D canvas shows what was drawn in this very moment only
    const box = solid.getBoundingClientRect();
    g.drawImage(solid, box.left - stage.left, box.top - stage.top, box.width, box.height);
  }
  g.font = FONT;
  g.fillStyle = "#dde4ea";
  g.textBaseline = "middle";
  g.fillText(footWords(words, thresholdOf(viewer)), 10, stage.height + FOOT / 2);
  return canvas;
}

function drawPane(g, pane, stage) {
  const box = pane.element.getBoundingClientRect();
  g.save();
  g.translate(box.left - stage.left, box.top - stage.top);
  g.beginPath();
  g.rect(0, 0, box.width, box.height);
  g.clip();
  g.drawImage(pane.canvas, 0, 0, box.width, box.height);
  pane.svg.querySelectorAll("line").forEach((line) => drawLine(g, line));
  texts(pane.element).forEach((node) => drawText(g, node, box));
  if (pane.drawn && pane.volume.about.placed) {
    drawBar(g, pane.lie().scale, box);
  }
  g.strokeStyle = "#1a2027";
  g.strokeRect(0, 0, box.width, box.height);
  g.restore();
}

function drawLine(g, line) {
  if (line.getAttribute("visibility") === "hidden") {
    return;
  }
  const look = getComputedStyle(line);
  g.globalAlpha = Number(look.opacity);
  g.strokeStyle = look.stroke;
  g.lineWidth = parseFloat(look.strokeWidth) || 1;
  g.beginPath();
  g.moveTo(Number(line.getAttribute("x1")), Number(line.getAttribute("y1")));
  g.lineTo(Number(line.getAttribute("x2")), Number(line.getAttribute("y2")));
  g.stroke();
  g.globalAlpha = 1;
}

/** Elements of a pane that hold nothing but text. */
function texts(element) {
  return [...element.querySelectorAll("*")].filter((node) => !node.children.length && node.textContent.trim());
}

function drawText(g, node, pane) {
  const look = getComputedStyle(node);
  const box = node.getBoundingClientRect();
  g.font = `${look.fontWeight} ${look.fontSize} ${look.fontFamily}`;
  g.fillStyle = node instanceof SVGElement ? look.fill : look.color;
  g.shadowColor = "#000";
  g.shadowBlur = 3;
  g.textBaseline = "middle";
  const height = parseFloat(look.lineHeight) || parseFloat(look.fontSize) * 1.35;
  const right = look.textAlign === "right";
  g.textAlign = right ? "right" : "left";
  wrapped(g, node.textContent, box.width + 2).forEach((text, n) => {
    g.fillText(text, (right ? box.right : box.left) - pane.left, box.top - pane.top + height * (n + 0.5));
  });
  g.textAlign = "left";
  g.shadowBlur = 0;
}

/** The lines that a text takes in so many pixels. */
function wrapped(g, text, width) {
  const lines = [""];
  for (const word of text.trim().split(/\s+/)) {
    const longer = `${lines.at(-1)} ${word}`.trim();
    if (lines.at(-1) && g.measureText(longer).width > width) {
      lines.push(word);
    } else {
      lines[lines.length - 1] = longer;
    }
  }
  return lines;
}

function drawBar(g, scale, box) {
  const mm = barLength(scale, box.width / 4);
  const [x, y] = [box.width - 12 - mm * scale, box.height - 30];
  g.fillStyle = "#dde4ea";
  g.fillRect(x, y, mm * scale, 2);
  g.font = FONT;
  g.textAlign = "center";
  g.textBaseline = "bottom";
  g.fillText(`${mm} mm`, x + (mm * scale) / 2, y - 2);
  g.textAlign = "left";
}

function save(canvas, name) {
  canvas.toBlob((blob) => {
    const link = el("a", { href: URL.createObjectURL(blob), download: name });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }, "image/png");
}
