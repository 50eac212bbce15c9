/** @typedef {{kind: "gpu" | "cpu", name: string, note: string, software?: boolean, version: string}} Device */

/** The page's end of the worker. Dispatches `progress`, `prepare`, `failed` and `crashed`. */
export class Client extends EventTarget {
  #worker = new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  #next = 1;
  /** @type {Map<number, {resolve: (value: any) => void, reject: (error: Error) => void}>} */
  #waiting = new Map();

  constructor() {
    super();
    this.#worker.onmessage = ({ data }) => (data.id ? this.#settle(data) : this.#report(data));
    this.#worker.onerror = (event) => this.#crash(event.message || "The worker could not be loaded.");
  }

  /** @param {string} call Such as `time.set_clip` @param {...any} given @returns {Promise<any>} */
  call(call, ...given) {
    return new Promise((resolve, reject) => {
      const id = this.#next++;
      this.#waiting.set(id, { resolve, reject });
      this.#worker.postMessage({ id, call, arguments: given });
    });
  }

  #settle({ id, value, error }) {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (error) waiting?.reject(new Error(error.message));
    else waiting?.resolve(value);
  }

  #report(data) {
    this.dispatchEvent(new CustomEvent(data.event, { detail: data }));
  }

  #crash(message) {
    for (const { reject } of this.#waiting.values()) reject(new Error(message));
    this.#waiting.clear();
    this.dispatchEvent(new CustomEvent("crashed", { detail: { message } }));
  }

  /** Ends the worker and whatever it computes. */
  close() {
    this.#worker.terminate();
  }
}
