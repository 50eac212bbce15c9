import { toMessage } from "./errors.js";
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
    const end = (event) => {
      if (this.#token !== token) return;
      this.#token = null;
      this.#post({ room: name, ...event });
    };
    const failed = (error) => end({ event: "failed", ...toMessage(error) });
    this.#train(name, room, token, pace).then(() => end({ event: "ended" }), failed);
  }

  /** Until it is stopped, or none of several networks is left that has not diverged. */
  async #train(name, room, token, { most = MOST, rest = 0 }) {
    const networks = room.names ? room.names().length : 1;
    const left = new Set(Array(networks).keys());
    let steps = 1;
    let reported = 0;
    /** @type {any[]} */
    let progress = [];
    const report = () => {
      if (progress.length) this.#post({ event: "progress", room: name, progress });
      progress = [];
    };
    while (this.#token === token && left.size) {
      await this.#hidden;
      const begun = performance.now();
      for (const network of [...left]) {
        if (this.#token !== token) break;
        try {
          const taken = await this.#step(room, networks > 1 ? network : null, steps, token);
          if (taken) progress.push(taken);
        } catch (/** @type {any} */ error) {
          if (networks === 1 || error?.kind !== "diverged") throw error;
          left.delete(network);
          if (this.#token === token) this.#post({ event: "diverged", room: name, network });
        }
        await this.turn();
      }
      const now = performance.now();
      steps = nextSteps(steps, now - begun, most);
      if (rest) await new Promise((resolve) => setTimeout(resolve, rest));
      if (now - reported < REPORT) continue;
      reported = now;
      report();
    }
    report();
  }

  #step(room, network, steps, token) {
    return this.#lock.run(async () => {
      if (this.#token !== token) return null;
      if (network === null) return room.step(steps);
      return { network, ...(await room.step(network, steps)) };
    });
  }
}
