/** Elements in one line. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element: attributes by name, `class`, `on<event>` handlers, text or elements as children. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) {
      node.addEventListener(name.slice(2), value);
    } else if (value === true) {
      node.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      node.setAttribute(name, String(value));
    }
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Change text only where it differs: an unchanged node costs no layout. */
export function say(node, text) {
  if (node.textContent !== text) {
    node.textContent = text;
  }
}
