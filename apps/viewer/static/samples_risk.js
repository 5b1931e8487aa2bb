/** The copy-risk light: colour, word and symbol, and the order of samples by it. No DOM. */

/** Colours that stay apart for colour-blind eyes (Okabe & Ito), each with a form and a word of its own. */
export const RISKS = {
  copy: { symbol: "■", word: "Possible copy", colour: "#ff8c42", means: "more like a patient's image than held-out patients' images are, pixel by pixel" },
  close: { symbol: "▲", word: "Close", colour: "#f0e442", means: "closer to a patient's image than held-out patients' images are in what it shows, though not pixel by pixel" },
  own: { symbol: "●", word: "No close match", colour: "#56b4e9", means: "no more like a patient's image than another patient's image is" },
  "": { symbol: "○", word: "Not checked", colour: "#9aa4b0", means: "not compared with patients' images" },
};
const ORDER = Object.keys(RISKS);

/** Numbers of the samples to be shown. risk: "all" or one of RISKS; sort: "made", or "risk" (riskiest, most alike first). */
export function chosen(samples, risk, sort) {
  const rows = samples.map((_, row) => row).filter((row) => risk === "all" || samples[row].risk === risk);
  if (sort !== "risk") {
    return rows;
  }
  const likeness = (row) => samples[row].likeness ?? -Infinity;
  return rows.sort((a, b) => ORDER.indexOf(samples[a].risk) - ORDER.indexOf(samples[b].risk) || likeness(b) - likeness(a) || a - b);
}

/** a - b of two grey pictures as RGBA words: orange where a is brighter, blue where it is darker, dark where equal. */
export function difference(a, b) {
  const out = new Uint32Array(a.length);
  for (let p = 0; p < a.length; p += 1) {
    const d = Math.max(-1, Math.min(1, (a[p] - b[p]) / 128));
    const [r, g, bl] = d > 0 ? [255, 160, 60] : [70, 150, 255];
    const s = Math.abs(d);
    out[p] = (0xff000000 | (Math.round(18 + s * (bl - 18)) << 16) | (Math.round(18 + s * (g - 18)) << 8) | Math.round(18 + s * (r - 18))) >>> 0;
  }
  return out;
}
