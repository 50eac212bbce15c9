/** One piece of work at a time: a room must not be called while it awaits the GPU. */
export class Lock {
  #last = Promise.resolve();

  /** @template T @param {() => T | Promise<T>} work @returns {Promise<T>} */
  run(work) {
    const result = this.#last.then(work);
    this.#last = result.then(() => {}, () => {});
    return result;
  }
}
