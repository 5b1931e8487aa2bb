/** What a page's component keeps alive over the reruns of its page: one part for each element it is mounted in. */

/**
 * The function that Streamlit calls at the first mount and again at each rerun; it returns the cleanup of this turn,
 * which ends the part unless a later turn has taken over.
 *
 * make(parent, data): a new part, with dispose(). same(part, data): whether a part that lives goes on with this data;
 * else it ends and another is made. update(part, component): called at each turn.
 */
export function living(make, same, update = () => {}) {
  const entries = new WeakMap(); // parent element -> { part, turn }
  return function mount(component) {
    const parent = component.parentElement;
    let entry = entries.get(parent);
    if (entry && !same(entry.part, component.data)) {
      entry.part.dispose();
      entry = null;
    }
    if (!entry) {
      entry = { part: make(parent, component.data), turn: 0 };
      entries.set(parent, entry);
    }
    entry.turn += 1;
    const turn = entry.turn;
    update(entry.part, component);
    return () => {
      if (entry.turn === turn) {
        entries.delete(parent);
        entry.part.dispose();
      }
    };
  };
}

/** The same for a component with several parts: parts[data.view] is the class of the one to be shown. */
export function livingParts(parts) {
  return living(
    (parent, data) => new parts[data.view](parent),
    (part, data) => part.constructor === parts[data.view],
    (part, component) => part.update(component.data),
  );
}
