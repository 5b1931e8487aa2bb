/** The table of keys, made from the keys themselves. */

import { el } from "./dom.js";

const MOUSE = [
  ["Click, drag", "crosshair: every plane follows"], ["Right button, drag", "window: right is wider, down is darker"],
  ["Wheel", "slices"], ["Ctrl and wheel", "zoom at the pointer"], ["Shift or middle button, drag", "move the picture"],
];

export class Help {
  constructor(viewer) {
    this.viewer = viewer;
    this.element = el("div", { class: "help", hidden: true, role: "dialog", "aria-label": "Keys" });
    this.element.addEventListener("click", (event) => event.target === this.element && this.close());
  }

  /** [heading, [[keys, what they do]]] of every key, and of the mouse. */
  tables() {
    const groups = new Map();
    for (const { group, label, help } of this.viewer.keys.table) {
      groups.set(group, [...(groups.get(group) ?? []), [label, help]]);
    }
    return [["Mouse", MOUSE], ...groups];
  }

  toggle() {
    if (!this.element.hidden) {
      this.close();
      return;
    }
    const tables = this.tables().map(([heading, rows]) => el(
      "section", {}, el("h3", {}, heading),
      el("dl", {}, ...rows.flatMap(([keys, words]) => [el("dt", {}, el("kbd", {}, keys)), el("dd", {}, words)])),
    ));
    const close = el("button", { class: "close", title: "Close (Escape)", onclick: () => this.close() }, "×");
    const note = el("p", { class: "note" }, "Research only, not for diagnosis.");
    this.element.replaceChildren(el("div", { class: "sheet" }, close, el("h2", {}, "Keys and mouse"), el("div", { class: "columns" }, ...tables), note));
    this.element.hidden = false;
  }

  close() {
    this.element.hidden = true;
  }
}
