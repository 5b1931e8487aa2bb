/** The Explore page's part about cases: the map of all of them, and the walk through what the model has learnt. */

import { el, say } from "./dom.js";
import { askJson } from "./explore_ask.js";
import { CaseMap } from "./explore_map.js";
import { Walk } from "./explore_walk.js";

const VIEWS = { map: "Map of cases", walk: "Walk" };

export class Explore {
  constructor(parent) {
    this.root = el("div", { class: "explore" });
    this.tabs = el("nav", { class: "tabs", role: "tablist" });
    this.message = el("p", { class: "state" }, "Loading the cases");
    this.root.append(this.tabs, this.message);
    parent.append(this.root);
    window.medudlExplore = this; // for tests and measurements
    this.id = null;
    this.view = "map";
  }

  /** data: { id, height, model: "" or why nothing can be drawn }. */
  async update(data) {
    this.root.style.height = data.height;
    if (data.id === this.id && data.key === this.key) {
      return;
    }
    this.clear();
    [this.id, this.key] = [data.id, data.key];
    this.message.hidden = false;
    say(this.message, "Loading the cases");
    try {
      const table = await askJson(data.id, "table", { key: data.key });
      if (data.id === this.id && data.key === this.key) {
        this.build(table, data.model);
      }
    } catch (error) {
      say(this.message, error.message);
    }
  }

  build(table, model) {
    this.message.hidden = true;
    this.cases = { id: this.id, table, model };
    this.map = new CaseMap(this.root, this.cases, (how, row) => this.toWalk(how, row));
    this.walk = new Walk(this.root, this.cases, (row) => this.toMap(row));
    this.tabs.replaceChildren(...Object.entries(VIEWS).map(([view, title]) => el("button", {
      type: "button", role: "tab", "data-view": view, onclick: () => this.show(view),
    }, title)), el("span", { class: "count" }, `${table.n.toLocaleString("en")} pictures`));
    this.root.style.setProperty("--ratio", table.picture ? table.picture[1] / (table.picture[0] * table.aspect) : 1);
    this.show("map");
  }

  show(view) {
    this.view = view;
    for (const tab of this.tabs.querySelectorAll("button")) {
      tab.setAttribute("aria-selected", String(tab.dataset.view === view));
    }
    this.map.element.hidden = view !== "map";
    this.walk.element.hidden = view !== "walk";
    if (view === "walk") {
      this.walk.shown();
    }
  }

  toWalk(how, row) {
    this.walk.take(how, row);
    this.show("walk");
  }

  toMap(row) {
    this.show("map");
    this.map.open(row);
  }

  clear() {
    this.map?.dispose();
    this.walk?.dispose();
    this.map = this.walk = null;
    this.tabs.replaceChildren();
  }

  dispose() {
    this.clear();
    this.root.remove();
  }
}
