/** What is written about one point. No DOM. */

import { lps } from "./geometry.js";
import { short } from "./windows.js";

const UNITS = { HU: "HU", arbitrary: "arbitrary units", score: "score", mask: "" };

/** "LPS 12.3, -40.0, 7.5 mm": the axes are always named. */
export function placeWords(mm, space) {
  const [x, y, z] = space === "LPS" ? lps(mm) : mm;
  return `${space} ${[x, y, z].map((v) => (Math.abs(v) < 0.05 ? 0 : v).toFixed(1)).join(", ")} mm`;
}

/** A stored value as it is in the file: whole numbers whole, others with five figures. */
export function exact(value) {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(5)));
}

/** "412 HU"; MR is "412 arbitrary units", never HU. */
export function valueWords(value, unit) {
  return value === null ? "-" : `${exact(value)} ${UNITS[unit] ?? ""}`.trim();
}

/** The nearest voxel of a volume at mm: { ijk, value } with value null outside or not arrived. */
export function voxelAt(volume, mm) {
  const ijk = volume.worldToVoxel(mm).map((x) => Math.round(x) + 0);
  return { ijk, value: volume.value(...ijk) };
}

/**
 * The parts of the line: { voxel, place, value, overlays: [words] }.
 *
 * overlays: [{ volume, title }] on this series.
 */
export function readout(volume, mm, space, overlays) {
  const { ijk, value } = voxelAt(volume, mm);
  const inside = ijk.every((n, axis) => n >= 0 && n < volume.shape[axis]);
  return {
    voxel: inside ? `voxel [${ijk.join(", ")}]` : "outside the series",
    place: volume.about.placed ? placeWords(mm, space) : "no place in a patient known",
    value: inside ? valueWords(value, volume.meta.unit) : "-",
    overlays: overlays.map(({ volume: over, title }) => {
      const found = voxelAt(over, mm).value;
      return `${title || over.about.title} ${found === null ? "-" : short4(found)}`;
    }),
  };
}

function short4(value) {
  return Math.abs(value) >= 100 ? short(value) : String(Number(value.toPrecision(4)));
}
