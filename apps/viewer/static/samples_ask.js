/** Questions of the Samples page: JSON, raw pictures, and turns of the reader test. */

const address = (id, what, query = {}) => new URL(`/synthetic/${id}/${what}?${new URLSearchParams(query)}`, document.baseURI).href;

/** The JSON of an address of ours. Throws an Error whose message is a sentence for the reader. */
export async function askJson(id, what, query) {
  return (await asked(address(id, what, query))).json();
}

/** Pictures: { data: Uint8Array of n * h * w, n, h, w, about }. Throws as askJson. */
export async function askPictures(id, what, query) {
  return unpacked(await asked(address(id, what, query)));
}

/** One turn of the reader test: what it answers is a picture too. Throws as askJson. */
export async function askTurn(id, turn) {
  return unpacked(await asked(address(id, "reading"), { method: "POST", body: JSON.stringify(turn) }));
}

/** The address of a step's picture. */
export const stepAddress = (id, step) => address(id, "step", { step });

async function unpacked(answer) {
  const about = JSON.parse(answer.headers.get("x-about") ?? "{}");
  const [n, h, w] = about.shape;
  return { data: new Uint8Array(await answer.arrayBuffer()), n, h, w, about };
}

async function asked(url, options = {}) {
  let answer;
  try {
    answer = await fetch(url, options);
  } catch {
    throw new Error("The viewer does not answer. Is it still running?");
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.problem ?? "This could not be loaded. Load the page again.");
  }
  return answer;
}
