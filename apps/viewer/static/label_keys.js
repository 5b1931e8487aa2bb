/** The keys of the Label page. Where one means something else to the pictures, labelling wins, and the help says so. */

import { presetsOf } from "./windows.js";

export const MOST_CLASSES = 9;
const GROUP = "Labelling";

/** Give the keys to `page`; after the viewer's other parts have theirs. */
export function takeKeys(viewer, page) {
  const { keys, toolbar } = viewer;
  const take = (key, to, help, run) => {
    keys.take(key, to, { help, group: GROUP, run: (event) => event?.repeat || run(event) });
    if (to) {
      toolbar.rename(key, to);
    }
  };
  const digits = Array.from({ length: MOST_CLASSES }, (_, n) => String(n + 1));
  digits.forEach((key, n) => take(key, "", `this case is "${page.classes[n]}": saved at once`, (event) => page.label(n, event)));
  const rest = digits.slice(page.classes.length);
  // A key without a class must not set a window either: which keys label is not to be guessed.
  keys.table = keys.table.filter((entry) => entry.keys.length && !rest.includes(entry.keys[0]));
  if (rest.length) {
    keys.add({ key: rest, label: `${rest[0]} - 9`, help: "no class", group: GROUP, run: (event) => page.tell(`There is no class ${event.key}.`) });
  }
  take("s", "S", "skip this case; it comes back when all else is done", (event) => page.skip(event));
  take("u", "U", "undo your last label or skip, and show that case again", (event) => page.undo(event));
  take("f", "", "flag this case, with a reason", () => page.flag());
  take("h", "H", "your labels: ↑ ↓ choose, Enter opens, a class key saves anew", () => page.choose());
  take("t", "T", "train now; T or Enter again starts it", () => page.train());
  take("j", "", "adjudicate where readers differ: shows what they said", () => page.adjudicate());
  take("Enter", "", "yes; open what is chosen", () => page.enter());
  take("v", "", "next window", () => nextWindow(viewer));
  before(keys, "ArrowUp", () => page.move(-1));
  before(keys, "ArrowDown", () => page.move(1));
  before(keys, "Escape", () => page.leave());
  keys.table.sort((a, b) => (b.group === GROUP) - (a.group === GROUP)); // what one is here for stands first in the help
  viewer.toolbar.groups.window.querySelector("select").title = "Window (keys V and 0)";
}

/** Ask `first` before a key does what it does; true: it was meant for the page. */
export function before(keys, key, first) {
  const entry = keys.find(key);
  const { run } = entry;
  entry.run = (event) => event.key === key && first(event) || run(event);
}

/** The window after the one that is set, in the order of the menu. */
function nextWindow(viewer) {
  const meta = viewer.volumes[viewer.series]?.meta;
  if (!meta) {
    return;
  }
  const presets = presetsOf(meta);
  const { lo, hi } = viewer.windowOf(viewer.series);
  const now = presets.findIndex((one) => Math.abs(one.lo - lo) + Math.abs(one.hi - hi) < (hi - lo) * 1e-6);
  viewer.setWindow(viewer.series, presets[(now + 1) % presets.length]);
}
