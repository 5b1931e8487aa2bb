/** One table of keys: what the keyboard does and what the help says. */

const NAMES = { " ": "Space", ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", PageUp: "Page up", PageDown: "Page down" };
const TYPING = "input, textarea, select, [contenteditable=''], [contenteditable=true], [role=combobox], [role=slider], [role=grid], [role=dialog]";
const PRESSED = "button, a, summary, [role=tab], [role=button], [role=option]";

/** How a key is written on the screen. */
export function keyName(key) {
  return NAMES[key] ?? (/^[A-Z]$/.test(key) ? `Shift ${key.toLowerCase()}` : key);
}

/** The element that would take typing, through shadow roots. */
function focused() {
  let node = document.activeElement;
  while (node?.shadowRoot?.activeElement) {
    node = node.shadowRoot.activeElement;
  }
  return node;
}

/** True where a key belongs to the pictures: not while someone types, moves a slider or works in a table or dialog. */
export function mayAct(node, key) {
  if (!node?.closest) {
    return true;
  }
  const range = node.matches("input[type=range]") && !key.startsWith("Arrow") && !key.startsWith("Page");
  if (!range && node.closest(TYPING)) {
    return false;
  }
  return !(node.closest(PRESSED) && [" ", "Enter", "Tab"].includes(key));
}

export class Keys {
  constructor() {
    this.table = [];
    this.held = new Map();
  }

  /**
   * key: KeyboardEvent.key, or several that do nearly the same. label: what it is called in the help, help: what it
   * does. run(event), where given `up(event)` when it is let go. group: heading in the help.
   */
  add({ key, label = "", help, run, up = null, group = "Pictures" }) {
    const keys = Array.isArray(key) ? key : [key];
    for (const one of keys) {
      if (this.find(one)) {
        throw new RangeError(`the key ${one} already means "${this.find(one).help}"`);
      }
    }
    this.table.push({ keys, label: label || keys.map(keyName).join(" / "), help, run, up, group });
  }

  /** Give a key that has a meaning to another `entry` (as of `add`); what it meant moves to the key `to`, if any. */
  take(key, to, entry) {
    const before = this.find(key);
    if (before) {
      before.keys = [...before.keys.filter((one) => one !== key), ...(to ? [to] : [])];
      before.label = before.keys.map(keyName).join(" / ");
    }
    this.add({ ...entry, key });
  }

  find(key) {
    return this.table.find((entry) => entry.keys.includes(key));
  }

  /** Listen on the window, ahead of the page's own shortcuts, while `here()` says that these pictures are meant. */
  listen(here) {
    const down = (event) => {
      if (!here() || event.ctrlKey || event.metaKey || event.altKey || !mayAct(focused(), event.key)) {
        return;
      }
      const entry = this.find(event.key);
      if (entry) {
        event.preventDefault();
        event.stopImmediatePropagation();
        if (entry.up) {
          this.held.set(event.key, entry);
        }
        entry.run(event);
      }
    };
    const up = (event) => {
      this.held.get(event.key)?.up(event);
      this.held.delete(event.key);
    };
    const lost = () => {
      this.held.forEach((entry) => entry.up());
      this.held.clear();
    };
    window.addEventListener("keydown", down, true);
    window.addEventListener("keyup", up, true);
    window.addEventListener("blur", lost);
    this.stop = () => {
      window.removeEventListener("keydown", down, true);
      window.removeEventListener("keyup", up, true);
      window.removeEventListener("blur", lost);
    };
  }
}
