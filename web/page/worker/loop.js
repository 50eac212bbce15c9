import { MOST, nextSteps } from "./pace.js";

/** @typedef {{most?: number, rest?: number}} Pace Steps of a turn, and milliseconds after it, so that the eye can follow */

/** Milliseconds between two reports of progress. */
const REPORT = 50;

/** Trains one room in short turns, with a yield after each. */
export class Loop {
  #lock;
  #post;
  /** @type {object | null} Identifies the training that goes on; another object or null ends it. */
  #token = null;
  /** @type {Promise<void> | null} While the page is hidden. */
  #hidden = null;
  #show = () => {};

  /** @param {import("./lock.js").Lock} lock @param {(message: object) => void} post */
  constructor(lock, post) {
    this.#lock = lock;
    this.#post = post;
  }

  stop() {
    this.#token = null;
  }

  /** @param {boolean} hidden */
  pause(hidden) {
    if (hidden && !this.#hidden) this.#hidden = new Promise((show) => (this.#show = show));
    if (!hidden) {
      this.#hidden = null;
      this.#show();
    }
  }

  /** Lets messages in: a task of its own, which timers would delay by four milliseconds. */
  turn() {
    return new Promise((resolve) => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        resolve(undefined);
      };
      port2.postMessage(null);
    });
  }

  /** @param {string} name @param {any} room @param {Pace} [pace] */
  start(name, room, pace = {}) {
    if (!room) throw new Error("There is nothing to train yet.");
    const token = (this.#token = {});
    this.#train(name, room, token, pace).catch((error) => {
      if (this.#token === token) this.#token = null;
      this.#post({ event: "failed", room: name, message: error?.message ?? String(error) });
    });
  }

  async #train(name, room, token, { most = MOST, rest = 0 }) {
    const networks = room.names ? room.names().length : 1;
    let steps = 1;
    let reported = 0;
    /** @type {any[]} */
    let progress = [];
    while (this.#token === token) {
      await this.#hidden;
      const begun = performance.now();
      for (let network = 0; network < networks && this.#token === token; network++) {
        progress.push(await this.#step(room, networks > 1 ? network : null, steps, token));
        await this.turn();
      }
      const now = performance.now();
      steps = nextSteps(steps, now - begun, most);
      if (rest) await new Promise((resolve) => setTimeout(resolve, rest));
      if (now - reported >= REPORT && this.#token === token) {
        reported = now;
        this.#post({ event: "progress", room: name, progress: progress.filter(Boolean) });
        progress = [];
      }
    }
  }

  #step(room, network, steps, token) {
    return this.#lock.run(async () => {
      if (this.#token !== token) return null;
      if (network === null) return room.step(steps);
      return { network, ...(await room.step(network, steps)) };
    });
  }
}
