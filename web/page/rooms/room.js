import { Controls } from "../controls.js";
import { element } from "../dom.js";
import { Refresher } from "./refresher.js";

/** @typedef {import("../client.js").CallError} CallError */
/** @typedef {"unmade" | "making" | "made"} State Of the thing in the worker */

/** Milliseconds that a slider must rest before a network is made anew. */
const REST = 200;

/** What the five rooms have in common: settings in the address, buttons, one thing in the worker, training. */
export class Room {
  /** @type {HTMLElement} */
  section;
  /** Whether the reader wants it to train: it begins as soon as there is a network. */
  running = false;
  /** Whether the thing can be trained; set before it is made. */
  trainable = true;
  /** @type {string[]} Settings that change without making the thing anew */
  gentle = [];
  /** @type {Record<string, () => unknown>} What the buttons do, by their `data-do`. */
  actions = {};
  /** @type {State} */
  #state = "making";
  #training = false;
  #visited = false;
  #rest = 0;
  #generation = 0;
  /** @type {Promise<void>} Settles when the thing in the worker is made, or cannot be */
  #settled = Promise.resolve();

  /** @param {HTMLElement} section @param {any} page @param {string} name In the address @param {string} worker In the worker */
  constructor(section, page, name, worker) {
    this.section = section;
    this.page = page;
    this.name = name;
    this.worker = worker;
    const form = /** @type {HTMLFormElement} */ (section.querySelector("form.controls"));
    this.controls = new Controls(form, {
      changed: (setting, moving) => {
        if (this.gentle.includes(setting)) this.#adjust(setting);
        else this.#later();
        this.remember(moving ? "soon" : "push");
      },
      rested: () => this.remember("replace"),
      refused: (message) => this.problem(message),
    });
    section.addEventListener("click", (event) => {
      const button = /** @type {HTMLElement} */ (event.target).closest?.("[data-do]");
      if (button) this.attempt(() => this.actions[/** @type {HTMLElement} */ (button).dataset.do ?? ""]?.());
    });
    for (const event of ["progress", "prepare", "diverged", "ended", "failed"]) {
      // What trains is made; what is told of it later is of the network before.
      page.client.addEventListener(event, ({ detail }) => detail.room === worker && this.made === (event !== "prepare") && this[event](detail));
    }
  }

  /** Whether the thing in the worker exists and fits the settings. */
  get made() {
    return this.#state === "made";
  }

  /** @param {State} state */
  #become(state) {
    this.#state = state;
    // The style sheet hides the results of a network that is gone.
    this.section.dataset.network = state;
    for (const button of /** @type {any} */ (this.section.querySelectorAll("[data-needs-network]"))) button.disabled = state !== "made";
    const run = /** @type {HTMLButtonElement | null} */ (this.section.querySelector("[data-do=run]"));
    if (run) run.disabled = state === "unmade" || !this.trainable;
  }

  /** Puts the settings into the address. @param {"push" | "replace" | "soon"} how */
  remember(how) {
    if (this.page.room === this) this.page.address.write(this.name, this.controls.changed, how);
  }

  get title() {
    return this.section.querySelector("h1")?.lastChild?.textContent?.trim() ?? "";
  }

  /** @template {Element} T @param {string} selector @returns {T} */
  find(selector) {
    return /** @type {T} */ (this.section.querySelector(selector));
  }

  /** Slow work that is repeated while training goes on; its failure is the room's. @param {() => Promise<void>} work @param {number} pause */
  repeated(work, pause) {
    return new Refresher(async () => {
      const generation = this.#generation;
      try {
        if (this.made) await work();
      } catch (error) {
        if (generation === this.#generation) this.refused(/** @type {CallError} */ (error));
      }
    }, pause);
  }

  /** @param {string} method @param {...any} given */
  call(method, ...given) {
    return this.page.client.call(`${this.worker}.${method}`, ...given);
  }

  /** What the reader asks for; its failure is shown. @param {() => unknown} work */
  async attempt(work) {
    try {
      await work();
    } catch (error) {
      this.refused(/** @type {CallError} */ (error));
    }
  }

  #adjust(setting) {
    return this.attempt(async () => {
      // What is being made has the setting of before.
      await this.#settled;
      if (this.made) await this.adjusted(setting);
    });
  }

  /** Shows the room with settings from the address. @param {Map<string, string>} state */
  show(state) {
    return this.attempt(async () => {
      await this.ready();
      if (this.page.room !== this) return;
      this.#visited = true;
      const before = this.controls.settings;
      this.controls.apply(state, this.page.device.slow);
      this.remember("replace");
      const now = this.controls.settings;
      const changed = Object.keys(now).filter((name) => now[name] !== before[name]);
      if (!this.made || changed.some((name) => !this.gentle.includes(name))) await this.remake();
      else for (const name of changed) await this.#adjust(name);
    });
  }

  /** Settles when settings can be applied. */
  async ready() {
    if (this.needsDevice) await this.page.device.ready;
  }

  hide() {
    this.attempt(() => this.stop());
  }

  /** A room that lives on the device was dropped with it. @param {boolean} shown */
  deviceChanged(shown) {
    if (!this.needsDevice) return;
    if (!shown || !this.#visited) return this.unmake();
    this.controls.apply(this.controls.changed, this.page.device.slow);
    this.remake();
  }

  /** What was being made was given up for a device that could not be opened. */
  deviceKept() {
    if (this.needsDevice && this.#visited && !this.made) this.remake();
  }

  get needsDevice() {
    return true;
  }

  #later() {
    window.clearTimeout(this.#rest);
    this.#rest = window.setTimeout(() => this.remake(), REST);
  }

  /** A gentle setting has changed. @param {string} _setting */
  adjusted(_setting) {}

  /** Makes the thing in the worker from the settings, and trains it if it was training. */
  remake() {
    window.clearTimeout(this.#rest);
    return (this.#settled = this.#remake());
  }

  async #remake() {
    if (this.needsDevice && !this.page.device.available) return this.unmake();
    const generation = ++this.#generation;
    this.#training = false;
    this.#become("making");
    this.problem("");
    if (this.needsDevice) this.page.alarm.hide();
    try {
      const { made, about } = await this.make();
      if (generation !== this.#generation || !made) return;
      this.#become("made");
      this.note(this.reduction());
      await this.begun(about);
      if (generation === this.#generation && this.running && !this.#training) await this.#train();
    } catch (error) {
      if (generation !== this.#generation) return;
      this.unmake();
      this.refused(/** @type {CallError} */ (error));
    }
  }

  /** There is no network any more. */
  unmake() {
    this.#generation++;
    this.stopped();
    this.note("");
    this.#become("unmade");
  }

  /** @returns {Promise<{made: boolean, about: any}>} Whether it was made, with its description */
  async make() {
    throw new Error("not made");
  }

  /** The thing has just been made. @param {any} _about */
  async begun(_about) {}

  /** The settings or data were refused, or what was to be done with them failed. @param {CallError} error */
  refused(error) {
    // The page tells of it.
    if (error.kind === "crashed") return;
    if (error.kind === "device") return this.page.deviceFailed(error);
    const remedy = error.kind === "diverged" ? ". Lower the learning rate, and reset." : "";
    this.problem(`${error.message}${remedy}`);
  }

  toggle() {
    return this.running ? this.stop() : this.start();
  }

  /** Begins anew, and waits. */
  reset() {
    this.stopped();
    return this.remake();
  }

  async start() {
    if (this.running || this.#state === "unmade") return;
    this.setRunning(true);
    this.page.announce(this.made ? "Training has started." : "Training starts when the network is made.");
    if (this.made) await this.#train();
  }

  #train() {
    this.#training = true;
    this.problem("");
    this.note(this.reduction());
    return this.train();
  }

  /** Lets the worker train. */
  train() {
    return this.call("start", this.pace);
  }

  async stop() {
    if (!this.running) return;
    this.stopped();
    this.page.announce(`Paused. ${this.summary()}`);
    if (!this.made) return;
    await this.halt();
    if (this.made && this.page.room === this) await this.paused();
  }

  /** Lets the worker wait. */
  halt() {
    return this.call("stop");
  }

  /** Training waits, and what is shown can be brought up to it. */
  async paused() {}

  /** Training is over, whoever ended it. */
  stopped() {
    this.#training = false;
    this.setRunning(false);
  }

  /** @param {boolean} running */
  setRunning(running) {
    this.running = running;
    const button = this.section.querySelector("[data-do=run]");
    if (button) button.textContent = running ? "Pause" : this.runLabel;
  }

  /** One sentence on where training stands. */
  summary() {
    return "";
  }

  /** @type {import("../worker/loop.js").Pace | undefined} */
  get pace() {
    return undefined;
  }

  get runLabel() {
    return "Train";
  }

  /** @param {any} _detail Of the worker's report */
  progress(_detail) {}

  /** Shaders are being compiled. @param {{done: number, total: number}} detail */
  prepare({ done, total }) {
    if (this.#state !== "making" || done >= total) return;
    const bar = element("progress", { max: total, value: done, "aria-label": "Compiling for the GPU" });
    this.note(`Compiling for the GPU: ${done} of ${total} `, bar);
  }

  /** One of several networks has left all numbers. @param {any} _detail */
  diverged(_detail) {}

  /** None of several networks is left. */
  ended() {
    this.stopped();
  }

  /** @param {CallError} error Of training */
  failed(error) {
    this.stopped();
    this.refused(error);
  }

  /** Told where the defaults are smaller than on a fast device. */
  reduction() {
    if (!this.controls.reduced) return "";
    return `Computed on ${this.page.device.words}, so the network is smaller at first. The sliders go further.`;
  }

  /** @param {...(string | Node)} content */
  note(...content) {
    const note = this.section.querySelector("[data-note]");
    if (!note) return;
    note.replaceChildren(...content);
    /** @type {HTMLElement} */ (note).hidden = content.every((part) => part === "");
  }

  /** A message beside the input that caused it. @param {string} message */
  problem(message) {
    const problem = /** @type {HTMLElement | null} */ (this.section.querySelector("[data-problem]"));
    if (!problem) return;
    problem.textContent = message;
    problem.hidden = message === "";
  }
}
