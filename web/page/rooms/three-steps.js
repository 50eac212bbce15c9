import { Room } from "./room.js";
import { throttled } from "../dom.js";
import { Unrolled } from "../draw/unrolled.js";
import { fixed } from "../format.js";
import { TermSum } from "./term-sum.js";
import { showSteps, showWeights } from "./three-steps-tables.js";

/** Room 2: three steps of a recurrent network with every number, and the gradient of W_hh as a sum of three terms. */
export class ThreeStepsRoom extends Room {
  /** @type {any} */
  #numbers = null;
  /** @type {number[]} */
  #losses = [];
  /** Whether the gradient before the last update was 0. */
  #wasFlat = false;

  constructor(section, page, name) {
    super(section, page, name, "steps");
    this.diagram = new Unrolled(this.find("[data-diagram]"));
    this.sum = new TermSum(this.find("[data-sum]"), this.find("[data-worked]"), {
      light: (parts, now) => this.diagram.light(parts, now),
      pin: (term) => this.#pin(term),
      say: (text) => page.announce(text),
    });
    this.draw = throttled(() => this.#draw(), 30);
    this.gentle = ["rate", "term"];
    this.actions = { update: () => this.#update(), reset: () => this.reset() };
    this.#listen(this.find("[data-weights]"));
  }

  get needsDevice() {
    return false;
  }

  adjusted(setting) {
    if (setting === "term") this.sum.pin(this.controls.settings.term);
  }

  async make() {
    const { activation, size, loss } = this.controls.settings;
    return this.call("create", { activation, size: Number(size), loss });
  }

  async begun() {
    this.#losses = [];
    this.#take(await this.call("numbers"));
    this.sum.pin(this.controls.settings.term);
  }

  async #update() {
    this.problem("");
    this.#wasFlat = Object.values(this.#numbers.gradient).flat(2).every((part) => part === 0);
    this.#take(await this.call("update", this.controls.number("rate")));
    this.page.announce(`Loss ${fixed(this.#numbers.loss)} after ${this.#losses.length - 1} updates.`);
  }

  /** Takes the weights that are typed in. The answer to one does not take away what is typed in the next one meanwhile. */
  #listen(weights) {
    weights.addEventListener("input", (event) => event.target.setAttribute("data-typed", ""));
    weights.addEventListener("change", (event) => {
      event.target.removeAttribute("data-typed");
      this.attempt(() => this.#edit(event.target));
    });
    weights.addEventListener("focusout", (event) => {
      if (!event.target.hasAttribute("data-typed")) return;
      // Typed back to what it was, which is no change.
      event.target.removeAttribute("data-typed");
      this.draw();
    });
  }

  /** Another weight, typed in by the reader. */
  async #edit(input) {
    const value = Number(input.value);
    const { name, row, column } = input.dataset;
    if (input.value.trim() === "" || !Number.isFinite(value)) return this.draw();
    this.problem("");
    try {
      const numbers = await this.call("set", name, Number(row), Number(column), value);
      this.#losses = [];
      this.#take(numbers);
    } catch (error) {
      // The number of before.
      this.draw();
      throw error;
    }
  }

  #take(numbers) {
    this.#numbers = numbers;
    this.#losses.push(numbers.loss);
    this.draw();
  }

  #pin(term) {
    this.controls.set("term", term);
    this.remember("push");
  }

  #draw() {
    const numbers = this.#numbers;
    if (!numbers) return;
    this.diagram.draw(numbers);
    this.sum.draw(numbers);
    showSteps(this.find("[data-table]"), numbers);
    showWeights(this.find("[data-weights]"), numbers);
    this.find("[data-verdict]").textContent = `${this.#course()} ${closed(numbers)}`;
  }

  #course() {
    const updates = this.#losses.length - 1;
    const now = fixed(this.#numbers.loss);
    if (updates < 1) return `The loss is ${now}.`;
    const times = updates === 1 ? "one update" : `${updates} updates`;
    return `After ${times} the loss is ${now}, from ${fixed(this.#losses[0])}.${this.#last(updates)}`;
  }

  /** Why the last update did not lower the loss, if it did not. */
  #last(updates) {
    if (this.#losses[updates] < this.#losses[updates - 1]) return "";
    if (this.#wasFlat) return " The gradient was 0, so the last update changed nothing.";
    return this.#losses[updates] === this.#losses[updates - 1] ? " The last update did not change it." : " The last update raised it: the step was too long.";
  }
}

/** Where a derivative of 0 stops the gradient. */
function closed({ slope }) {
  const shut = slope.flatMap((units, i) => (units.every((value) => value === 0) ? [i + 1] : []));
  if (shut.length) return `At step ${shut.at(-1)} every f′ is 0: no gradient passes back through it.`;
  const some = slope.flatMap((units, i) => units.flatMap((value, unit) => (value === 0 ? [`unit ${unit + 1} at step ${i + 1}`] : [])));
  return some.length ? `f′ is 0 for ${some.join(" and ")}: no gradient passes there.` : "";
}
