/** The row of controls above the pictures. */

import { el, say } from "./dom.js";
import { keyName } from "./keys.js";
import { LAYOUTS } from "./layout.js";
import { presetsOf } from "./windows.js";

const GROUPS = ["layout", "window", "tools", "view", "extra", "link"];

export class Toolbar {
  constructor() {
    this.groups = Object.fromEntries(GROUPS.map((name) => [name, el("div", { class: `group ${name}` })]));
    this.element = el("header", { class: "toolbar" }, ...Object.values(this.groups));
    this.live = [];
    this.titled = [];
  }

  /**
   * A button. on() says whether it is pressed in, shown() whether it makes sense now, text() what it says; each optional.
   * Returns the button.
   */
  add(group, { label, title, key = "", run, on = null, shown = null, text = null }) {
    const button = el("button", { type: "button", title: key ? `${title} (${key})` : title, "aria-label": title }, label);
    this.titled.push({ button, title, key });
    button.addEventListener("click", (event) => {
      run(event);
      button.blur();
    });
    this.live.push(() => {
      button.hidden = shown !== null && !shown();
      button.setAttribute("aria-pressed", String(on !== null && Boolean(on())));
      if (text) {
        say(button, text());
      }
    });
    (this.groups[group] ?? this.groups.extra).append(button);
    return button;
  }

  /** Say in a button's title that its key is another one now. */
  rename(key, to) {
    for (const one of this.titled.filter((each) => each.key === key)) {
      Object.assign(one, { key: to });
      one.button.title = `${one.title} (${keyName(to)})`;
    }
  }

  refresh() {
    this.live.forEach((one) => one());
  }
}

/** The viewer's own buttons. */
export function fillToolbar(viewer) {
  const bar = viewer.toolbar;
  const press = (key) => {
    const entry = viewer.keys.find(key); // a page may move it to another key
    return () => entry.run({ key, shiftKey: false });
  };
  for (const [name, { label, title }] of Object.entries(LAYOUTS)) {
    bar.add("layout", {
      label, title, run: () => viewer.setLayout(name), on: () => viewer.layout === name,
      shown: () => viewer.layouts.includes(name) && viewer.layouts.length > 1,
    });
  }
  windowMenu(viewer);
  bar.add("window", { label: "Invert", title: "Black becomes white", key: "i", run: press("i"), on: () => viewer.inverted });
  const tools = [["Window", "Drag to set the window", "w", "window"], ["Move", "Drag the picture", "h", "pan"],
    ["Zoom", "Drag up to enlarge", "z", "zoom"], ["Distance", "Click two points", "d", "distance"]];
  for (const [label, title, key, tool] of tools) {
    bar.add("tools", { label, title, key, run: press(key), on: () => viewer.tool === tool });
  }
  bar.add("tools", {
    label: "Slab", title: "Brightest, average or darkest of several slices", key: "m, [ thinner, ] thicker", run: press("m"),
    on: () => viewer.slab, shown: () => !viewer.flat,
    text: () => ({ max: "MIP", mean: "Mean", min: "MinIP" })[viewer.slab] ?? "Slab",
  });
  bar.add("tools", { label: "Cine", title: "All slices one after the other", key: "c", run: press("c"), on: () => viewer.cine.running, shown: () => !viewer.flat });
  bar.add("view", { label: "Crosshair", title: "Crosshair on or off", key: "x", run: press("x"), on: () => viewer.crosshairShown });
  bar.add("view", { label: "Reset", title: "Zoom, window and slab as at first", key: "r", run: press("r") });
  bar.add("view", {
    label: "R is left", title: "Which side of the picture is the patient's right; click to switch", key: "Shift r", run: press("R"),
    text: () => (viewer.neurological ? "R is right: neurological" : "R is left: radiological"),
    shown: () => viewer.volumes[0]?.about.placed !== false,
  }).classList.add("badge");
  bar.add("link", { label: "Link", title: "Copy a link to this slice", run: () => copyLink(viewer) });
  bar.add("link", { label: "?", title: "All keys", key: "?", run: press("?") });
}

function windowMenu(viewer) {
  const menu = el("select", { title: "Window (keys 1-5 and 0)", "aria-label": "Window" });
  let listed = "";
  menu.addEventListener("change", () => {
    const found = presetsOf(viewer.volumes[viewer.series].meta).find((one) => one.key === menu.value);
    viewer.setWindow(viewer.series, found);
    menu.blur();
  });
  viewer.toolbar.live.push(() => {
    const meta = viewer.volumes[viewer.series]?.meta;
    menu.hidden = !meta;
    if (!meta) {
      return;
    }
    const presets = presetsOf(meta);
    const names = presets.map(({ key, name }) => (viewer.keys.find(key)?.group === "Window" ? `${name} (${key})` : name));
    if (listed !== names.join()) {
      listed = names.join();
      menu.replaceChildren(el("option", { value: "", hidden: true }, "own window"), ...presets.map(({ key }, n) => el("option", { value: key }, names[n])));
    }
    const { lo, hi } = viewer.windowOf(viewer.series);
    const now = presets.find((one) => Math.abs(one.lo - lo) + Math.abs(one.hi - hi) < (hi - lo) * 1e-6);
    menu.value = now ? now.key : "";
  });
  viewer.toolbar.groups.window.append(menu);
}

async function copyLink(viewer) {
  try {
    await navigator.clipboard.writeText(window.location.href);
    viewer.status("The link to this slice is copied.");
  } catch {
    viewer.status("This browser does not let pages copy: take the link from the address bar.");
  }
  setTimeout(() => viewer.status(""), 4000);
}
