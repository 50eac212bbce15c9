import { Controls } from "../controls.js";
import { element } from "../dom.js";
import { Refresher } from "./refresher.js";

/** Milliseconds that a slider must rest before a network is made anew. */
const REST = 200;

/** Whether a call failed because of the GPU and not of what was given. @param {Error} error */
export function isDeviceFailure(error) {
  return /^GPU:|\blost\b/.test(error.message);
}

/** What the five rooms have in common: settings in the address, buttons, one thing in the worker, training. */
export class Room {
  /** @type {HTMLElement} */
  section;
  /** Whether the thing in the worker exists and fits the settings. */
  made = false;
  running = false;
  /** @type {string[]} Settings that change without making the thing anew */
  gentle = [];
  /** @type {Record<string, () => unknown>} What the buttons do, by their `data-do`. */
  actions = {};
  #visited = false;
  #rest = 0;
  #generation = 0;
  /** @type {Promise<void>} Settles when the thing in the worker is made; buttons wait for it. */
  #settled = Promise.resolve();

  /** @param {HTMLElement} section @param {any} page @param {string} name In the address @param {string} worker In the worker */
  constructor(section, page, name, worker) {
    this.section = section;
    this.page = page;
    this.name = name;
    this.worker = worker;
    const form = /** @type {HTMLFormElement} */ (section.querySelector("form.controls"));
    this.controls = new Controls(form, (setting, lasting) => {
      this.page.remember(this.name, this.controls.changed, lasting);
      if (this.gentle.includes(setting)) this.#attempt(() => this.adjusted(setting));
      else this.#later();
    });
    section.addEventListener("click", (event) => {
      const button = /** @type {HTMLElement} */ (event.target).closest?.("[data-do]");
      if (button) this.#act(/** @type {HTMLElement} */ (button).dataset.do ?? "");
    });
    for (const event of ["progress", "prepare", "failed"]) {
      page.client.addEventListener(event, ({ detail }) => detail.room === worker && this[event](detail));
    }
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
        if (generation === this.#generation) this.refused(/** @type {Error} */ (error));
      }
    }, pause);
  }

  /** @param {string} method @param {...any} given */
  call(method, ...given) {
    return this.page.client.call(`${this.worker}.${method}`, ...given);
  }

  #act(name) {
    return this.#attempt(() => this.actions[name]?.());
  }

  async #attempt(work) {
    try {
      await this.#settled;
      await work();
    } catch (error) {
      this.page.failed(error);
    }
  }

  /** Shows the room with settings from the address. @param {Map<string, string>} state */
  async show(state) {
    if (this.needsDevice) await this.page.device.ready;
    if (this.page.room !== this) return;
    this.#visited = true;
    const before = this.controls.settings;
    this.controls.apply(state, this.page.device.slow);
    const now = this.controls.settings;
    const changed = Object.keys(now).filter((name) => now[name] !== before[name]);
    if (!this.made || changed.some((name) => !this.gentle.includes(name))) await this.remake();
    else for (const name of changed) await this.#attempt(() => this.adjusted(name));
  }

  hide() {
    this.stop();
  }

  /** A room that lives on the device was dropped with it. @param {boolean} shown */
  deviceChanged(shown) {
    if (!this.needsDevice) return;
    const resume = this.running;
    this.made = false;
    this.stopped();
    if (!shown || !this.#visited) return;
    this.controls.apply(this.controls.changed, this.page.device.slow);
    this.remake(resume);
  }

  get needsDevice() {
    return true;
  }

  #later() {
    window.clearTimeout(this.#rest);
    this.#rest = window.setTimeout(() => this.remake(this.running), REST);
  }

  /** A gentle setting has changed. @param {string} _setting */
  adjusted(_setting) {}

  /** Makes the thing in the worker from the settings. @param {boolean} resume Whether to train at once */
  remake(resume = false) {
    return (this.#settled = this.#remake(resume));
  }

  async #remake(resume) {
    const generation = ++this.#generation;
    this.stopped();
    this.problem("");
    try {
      const description = await this.make();
      if (generation !== this.#generation) return;
      this.made = true;
      this.note(this.reduction());
      await this.begun(description);
    } catch (error) {
      if (generation !== this.#generation) return;
      this.made = false;
      this.refused(error);
      return;
    }
    if (resume) await this.start();
  }

  /** @returns {Promise<any>} The thing's description */
  async make() {
    throw new Error("not made");
  }

  /** The thing has just been made. @param {any} _description */
  async begun(_description) {}

  /** The settings or data were refused. @param {Error} error */
  refused(error) {
    if (this.section.querySelector("[data-problem]") && !isDeviceFailure(error)) this.problem(error.message);
    else this.page.failed(error);
  }

  toggle() {
    return this.running ? this.stop() : this.start();
  }

  async start() {
    if (!this.made || this.running) return;
    this.setRunning(true);
    this.page.announce("Training has started.");
    await this.call("start", this.pace);
  }

  async stop() {
    if (!this.running) return;
    this.stopped();
    this.page.announce(`Paused. ${this.summary()}`);
    await this.call("stop");
  }

  /** Training is over, whoever ended it. */
  stopped() {
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
    if (done >= total) return this.note(this.reduction());
    const bar = element("progress", { max: total, value: done, "aria-label": "Compiling for the GPU" });
    this.note(`Compiling for the GPU: ${done} of ${total} `, bar);
  }

  /** @param {{message: string}} detail */
  failed({ message }) {
    this.stopped();
    this.refused(new Error(message));
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
