/**
 * Repeats slow work while something goes on: it waits at least `pause` milliseconds, and twice as long as the work took,
 * so that training keeps most of the time. Work asked for while it goes on is done once more.
 */
export class Refresher {
  #work;
  #pause;
  #busy = false;
  #again = false;
  #last = -Infinity;
  #took = 0;
  #timer = 0;

  /** @param {() => Promise<void>} work @param {number} pause */
  constructor(work, pause) {
    this.#work = work;
    this.#pause = pause;
  }

  /** Does the work now if it is due. */
  tick() {
    if (performance.now() - this.#last >= Math.max(this.#pause, 2 * this.#took)) this.now();
  }

  /** Does the work soon, whenever it was done last; several calls in a row are one. */
  soon() {
    window.clearTimeout(this.#timer);
    this.#timer = window.setTimeout(() => this.now(), 120);
  }

  async now() {
    if (this.#busy) {
      this.#again = true;
      return;
    }
    this.#busy = true;
    const begun = performance.now();
    try {
      do {
        this.#again = false;
        await this.#work();
      } while (this.#again);
    } finally {
      this.#busy = false;
      this.#last = performance.now();
      this.#took = this.#last - begun;
    }
  }
}
