/** A volume in the browser: the asked-for slice first, then all of it in one stream; afterwards nothing is asked. */

import { apply, invert } from "./geometry.js";

const ARRAYS = { int16: Int16Array, uint16: Uint16Array, uint8: Uint8Array, float32: Float32Array };
const RETRIES = 3;
const PAUSE = 400; // ms before the first retry, doubled each time

/** An error whose message is a sentence for the reader; `final` where trying again cannot help. */
export class LoadError extends Error {
  constructor(message, final = false) {
    super(message);
    this.final = final;
  }
}

export class Volume {
  /** about: { id, title, role, placed ... } as the page named it. */
  constructor(about) {
    this.about = about;
    this.meta = null;
    this.shape = [0, 0, 0];
    this.data = null;
    this.loaded = 0; // share of the whole, 0 .. 1
    this.received = 0; // bytes of the stream
    this.started = performance.now();
    this.seconds = 0;
    this.error = "";
    this.stop = new AbortController();
    this.early = new Set(); // slices that came ahead of the stream
  }

  get id() {
    return this.about.id;
  }

  get complete() {
    return this.loaded === 1;
  }

  /** True where slice k along the third axis can be drawn. */
  has(k) {
    return this.complete || this.early.has(k) || (this.meta !== null && (k + 1) * this.sliceBytes <= this.received);
  }

  worldToVoxel(mm) {
    return apply(this.inverse, mm);
  }

  voxelToWorld(ijk) {
    return apply(this.meta.affine, ijk);
  }

  /** The stored value at whole voxel indices; null outside and where it has not arrived. */
  value(i, j, k) {
    const [nx, ny, nz] = this.shape;
    const inside = i >= 0 && j >= 0 && k >= 0 && i < nx && j < ny && k < nz;
    return inside && this.data && this.has(k) ? this.data[i + nx * (j + ny * k)] : null;
  }

  /** Prepare for the voxels that meta describes; voxels that have not arrived have the lowest value. */
  describe(meta) {
    this.meta = meta;
    this.shape = meta.shape;
    this.inverse = invert(meta.affine.slice(0, 3));
    this.meta.affine = meta.affine.slice(0, 3);
    const kind = ARRAYS[meta.dtype];
    const count = meta.shape[0] * meta.shape[1] * meta.shape[2];
    try {
      this.data = new kind(count);
    } catch {
      throw new LoadError("This series does not fit into this browser's memory. Close other tabs and open it again.", true);
    }
    if (meta.extent[0] !== 0) {
      this.data.fill(meta.extent[0]);
    }
    this.bytes = new Uint8Array(this.data.buffer);
    this.sliceBytes = this.bytes.length / meta.shape[2];
  }

  /**
   * Fetch everything. first(meta) -> the slice along the third axis to fetch first; changed(volume) after each step.
   * Never throws: `error` holds a sentence where it failed.
   */
  async load(first, changed) {
    try {
      await this.trying(() => this.fetchMeta());
      changed(this);
      await this.trying(() => this.fetchSlice(first(this.meta)));
      changed(this);
      await this.trying(() => this.fetchAll(changed));
    } catch (error) {
      if (this.stop.signal.aborted) {
        return;
      }
      this.error = error instanceof LoadError || error instanceof RangeError ? sentence(error) : STOPPED;
    }
    changed(this);
  }

  async trying(work) {
    for (let turn = 0; ; turn += 1) {
      try {
        return await work();
      } catch (error) {
        if (turn >= RETRIES || this.stop.signal.aborted || error.final || error instanceof RangeError) {
          throw error;
        }
        await new Promise((done) => setTimeout(done, PAUSE * 2 ** turn));
      }
    }
  }

  async ask(rest) {
    const url = new URL(`/voxels/${this.id}${rest}`, document.baseURI);
    const answer = await fetch(url, { signal: this.stop.signal, credentials: "same-origin", cache: "no-store" });
    if (!answer.ok) {
      throw new LoadError(await refusal(answer), answer.status < 500);
    }
    return answer;
  }

  async fetchMeta() {
    const meta = await (await this.ask("/meta")).json();
    this.stop.signal.throwIfAborted(); // let go meanwhile: nothing is held for it
    this.describe(meta);
  }

  async fetchSlice(k) {
    const bytes = new Uint8Array(await (await this.ask(`/slice/${k}?key=${this.meta.key}`)).arrayBuffer());
    this.stop.signal.throwIfAborted();
    if (bytes.length !== this.sliceBytes) {
      throw new LoadError("A slice of this series arrived incomplete. Open the series again.");
    }
    this.bytes.set(bytes, k * this.sliceBytes);
    this.early.add(k);
  }

  async fetchAll(changed) {
    const reader = (await this.ask(`?key=${this.meta.key}`)).body.getReader();
    this.received = 0;
    for (;;) {
      const { done, value } = await reader.read();
      this.stop.signal.throwIfAborted();
      if (done) {
        break;
      }
      if (this.received + value.length > this.bytes.length) {
        throw new LoadError("This series has changed on disk while it was loading. Open it again.", true);
      }
      this.bytes.set(value, this.received);
      this.received += value.length;
      this.loaded = Math.min(this.received / this.bytes.length, 0.999);
      this.seconds = (performance.now() - this.started) / 1000;
      changed(this);
    }
    if (this.received !== this.bytes.length) {
      throw new LoadError("This series arrived incomplete. Open it again.");
    }
    this.loaded = 1;
  }

  /** Stop loading and let the memory go. */
  dispose() {
    this.stop.abort();
    this.data = null;
    this.bytes = null;
    this.loaded = 0;
    this.early.clear();
    this.received = 0;
  }
}

const STOPPED = "The viewer has been stopped, or this computer cannot reach it. Start it again and reload this page.";

function sentence(error) {
  const text = error.message;
  return /[.!?]$/.test(text) ? text : `${text[0].toUpperCase()}${text.slice(1)}.`;
}

async function refusal(answer) {
  if (answer.status === 422) {
    const told = await answer.json().catch(() => ({}));
    return told.problem || "This series cannot be read.";
  }
  if (answer.status === 409) {
    return "This series has changed on disk since it was opened. Open it again.";
  }
  if (answer.status === 404) {
    return "This series is no longer there. Choose another from the table.";
  }
  if (answer.status === 401 || answer.status === 403) {
    return "This page is no longer signed in. Open the address that medudl view printed.";
  }
  return "The viewer could not read this series. Try again.";
}
