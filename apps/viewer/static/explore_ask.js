/** Questions to the server: JSON, raw pictures, and a queue that keeps only the newest question. */

const address = (id, what, query) => new URL(`/embedding/${id}/${what}?${new URLSearchParams(query)}`, document.baseURI).href;

/** The JSON of an address of ours. Throws an Error whose message is a sentence for the reader. */
export async function askJson(id, what, query = {}) {
  return (await asked(address(id, what, query))).json();
}

/** Pictures: { data: Uint8Array of n * h * w, n, h, w, about }. Throws as askJson. */
export async function askPictures(id, what, query = {}) {
  const answer = await asked(address(id, what, query));
  const about = JSON.parse(answer.headers.get("x-about") ?? "{}");
  const [n, h, w] = about.shape;
  return { data: new Uint8Array(await answer.arrayBuffer()), n, h, w, about };
}

async function asked(url) {
  let answer;
  try {
    answer = await fetch(url);
  } catch {
    throw new Error("The viewer does not answer. Is it still running?");
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.problem ?? "This could not be loaded. Load the page again.");
  }
  return answer;
}

/**
 * One question in flight at a time. What is asked meanwhile waits, and the newest replaces those that wait; an answer
 * is shown only if nothing was cancelled since.
 */
export class Newest {
  constructor(ask, show, fail) {
    Object.assign(this, { send: ask, show, fail, busy: false, waiting: null, era: 0 });
  }

  /** Ask this, now or as soon as the question in flight has been answered. */
  ask(question) {
    this.waiting = { question };
    this.next();
  }

  /** Forget what waits, and the answer that is on its way. */
  cancel() {
    this.waiting = null;
    this.era += 1;
  }

  async next() {
    if (this.busy || !this.waiting) {
      return;
    }
    const { question } = this.waiting;
    this.waiting = null;
    this.busy = true;
    const era = this.era;
    let done;
    try {
      const answer = await this.send(question);
      done = () => this.show(answer, question);
    } catch (error) {
      done = () => this.fail(error, question);
    }
    this.busy = false;
    if (era === this.era) {
      done();
    }
    this.next();
  }
}
