/** Questions of the Label page. What is asked is answered from the store on the disk, or not at all. */

const PATIENCE = 15000; // ms; a scan that is being read for the first time takes longest
const STATES = { 401: true, 403: true };

/** A refusal. `sure`: the server has said no, so that nothing was written; else nobody knows. */
export class AskError extends Error {
  constructor(message, sure = false) {
    super(message);
    this.sure = sure;
  }
}

/** The JSON that `act` of the store `id` answers. Throws an AskError whose message is a sentence for the reader. */
export async function askStore(id, act, body, patience = PATIENCE) {
  let answer;
  try {
    answer = await fetch(address(id, act), { method: "POST", body: body instanceof Blob ? body : JSON.stringify(body), signal: AbortSignal.timeout(patience) });
  } catch {
    throw new AskError("The viewer does not answer. Is it still running?");
  }
  if (STATES[answer.status]) {
    throw new AskError("This page is no longer signed in: open the address that medudl view printed in another tab.");
  }
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({}));
    throw new AskError(told.problem ?? "The viewer could not answer.", answer.status < 500);
  }
  try {
    return await answer.json();
  } catch {
    throw new AskError("The viewer's answer broke off.");
  }
}

/** Tell without waiting for an answer: the page is being left. */
export function tellStore(id, act, body) {
  fetch(address(id, act), { method: "POST", body: JSON.stringify(body), keepalive: true }).catch(() => {});
}

/** A name for an event, given here so that the same save, sent twice, is one event. 32 hexadecimal digits. */
export function eventId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID is absent where a page has no TLS
  bytes[6] = (bytes[6] & 15) | 64;
  bytes[8] = (bytes[8] & 63) | 128;
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

const address = (id, act) => new URL(`/labels/${id}/${act}`, document.baseURI).href;
