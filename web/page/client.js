/** @typedef {{kind: "gpu" | "cpu", name: string, note: string, software?: boolean, version: string}} Device */
/** @typedef {"device" | "diverged" | "input" | "crashed"} ErrorKind As src/errors.rs has them; crashed: the worker has ended */

/** What the worker refused or failed at. */
export class CallError extends Error {
  /** @type {ErrorKind} */
  kind;

  /** @param {string} message @param {ErrorKind} kind */
  constructor(message, kind) {
    super(message);
    this.kind = kind;
  }
}

/** The page's end of the worker. Dispatches `progress`, `prepare`, `diverged`, `ended`, `failed` and `crashed`. */
export class Client extends EventTarget {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #next = 1;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: CallError) => void}>} */
  #waiting = new Map();
  /** @type {CallError | null} Why the worker has ended */
  #crashed = null;

  constructor() {
    super();
    this.#worker.onmessage = ({ data }) => (data.id ? this.#settle(data) : this.#report(data));
    this.#worker.onerror = (event) => this.#crash(event.message || "its worker could not be loaded");
  }

  /** @param {string} call Such as `time.set_clip` @param {...any} given @returns {Promise<any>} */
  call(call, ...given) {
    if (this.#crashed) return Promise.reject(this.#crashed);
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, call, arguments: given });
    });
  }

  #settle({ id, value, error }) {
    if (error?.kind === "crashed") return this.#crash(error.message);
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.reject(new CallError(error.message, error.kind));
    else waiting?.resolve(value);
  }

  #report(data) {
    this.dispatchEvent(new CustomEvent(data.event, { detail: data }));
  }

  #crash(message) {
    if (this.#crashed) return;
    this.#crashed = new CallError(message, "crashed");
    this.dispatchEvent(new CustomEvent("crashed", { detail: { message } }));
    for (const { reject } of this.#waiting.values()) reject(this.#crashed);
    this.#waiting.clear();
  }

  /** Ends the worker and whatever it computes. */
  close() {
    this.#worker.terminate();
  }
}
