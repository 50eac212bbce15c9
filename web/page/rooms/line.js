import { Room } from "./room.js";
import { bindNumber, showValue } from "../controls.js";
import { FRAME, showNumbers, throttled } from "../dom.js";
import { PointsPicture } from "../draw/points.js";
import { ValleyPicture, sharpest } from "../draw/valley.js";
import { LossPlot } from "../draw/losses.js";
import { fixed, short } from "../format.js";

const POINTS = [[-1.6, -0.9], [-1.1, -1.2], [-0.7, -0.1], [-0.2, 0.3], [0.3, 0.2], [0.7, 1.3], [1.2, 1.1], [1.7, 2.2]];
const START = { slope: -1.2, intercept: 1.6 };
/** Milliseconds between two steps of a run: slow enough to follow by eye. */
const PACE = 120;
const MOST_STEPS = 2000;
const GONE = 1e9;

/** Room 1: slope and intercept of a line by gradient descent. */
export class LineRoom extends Room {
  #points = POINTS.map((point) => [...point]);
  /** @type {any} */
  #numbers = null;
  /** @type {[number, number][]} Slope and intercept after each step */
  #path = [];
  /** @type {[number, number][]} */
  #losses = [];
  /** The run that goes on; a new one ends it. */
  #token = {};

  constructor(section, page, name) {
    super(section, page, name, "line");
    this.pointsPicture = new PointsPicture(this.find("[data-picture=points]"), (index, x, y) => this.attempt(() => this.#move(index, x, y)));
    this.valley = new ValleyPicture(this.find("[data-picture=valley]"), (slope, intercept) => this.attempt(() => this.#jump(slope, intercept)));
    this.lossPlot = new LossPlot(this.find("[data-picture=loss]"), { log: true });
    this.draw = throttled(() => this.#draw(), Math.min(FRAME, 200));
    this.gentle = ["rate"];
    this.actions = { run: () => this.toggle(), step: () => this.#step(), reset: () => this.reset() };
    for (const name of ["slope", "intercept"]) this.#bindStart(name);
  }

  /** A field for where the path begins. @param {"slope" | "intercept"} name */
  #bindStart(name) {
    bindNumber(this.#field(name), {
      refused: (message) => this.problem(message),
      changed: (value) => this.attempt(() => this.#jump(...at({ ...this.#numbers, [name]: value }))),
    });
  }

  /** @returns {HTMLInputElement} */
  #field(name) {
    return this.find(`[data-start=${name}]`);
  }

  get needsDevice() {
    return false;
  }

  get runLabel() {
    return "Run";
  }

  adjusted() {
    this.draw();
  }

  async make() {
    this.#points = POINTS.map((point) => [...point]);
    return this.call("create", new Float64Array(this.#points.flat()), START.slope, START.intercept);
  }

  async begun() {
    this.#begin(await this.call("numbers"));
  }

  #begin(numbers) {
    this.#numbers = numbers;
    this.#path = [at(numbers)];
    this.#losses = [[0, numbers.loss]];
    this.draw();
  }

  async #move(index, x, y) {
    this.#points[index] = [x, y];
    await this.call("set_points", new Float64Array(this.#points.flat()));
    this.#numbers = await this.call("numbers");
    this.draw();
  }

  async #jump(slope, intercept) {
    await this.call("set", slope, intercept);
    this.#begin(await this.call("numbers"));
  }

  async #step() {
    if (!this.made) return;
    this.#numbers = await this.call("step", this.controls.number("rate"));
    const { loss } = this.#numbers;
    this.#path.push(at(this.#numbers));
    this.#losses.push([this.#losses.length, loss]);
    const gone = loss === null || loss > GONE;
    if (this.running && (gone || this.#losses.length > MOST_STEPS)) this.stop();
    this.draw();
  }

  async train() {
    this.attempt(() => this.#run());
  }

  /** In the page, slowly. */
  async #run() {
    const token = (this.#token = {});
    while (this.running && this.#token === token) {
      try {
        if (!document.hidden) await this.#step();
      } catch (error) {
        this.stopped();
        throw error;
      }
      await new Promise((resolve) => window.setTimeout(resolve, PACE));
    }
  }

  /** A run ends by itself. */
  async halt() {}

  summary() {
    return `Step ${this.#losses.length - 1}, loss ${short(this.#numbers?.loss)}.`;
  }

  #draw() {
    const now = this.#numbers;
    if (!now) return;
    this.pointsPicture.draw(this.#points, now);
    this.valley.draw(this.#points, this.#path, now);
    this.lossPlot.draw([{ name: "loss", look: "accent", losses: this.#losses }]);
    showNumbers(this.find("[data-numbers]"), [
      ["step", String(this.#losses.length - 1)],
      ["w", fixed(now.slope)],
      ["b", fixed(now.intercept)],
      ["L", short(now.loss)],
      ["∂L/∂w", fixed(now.d_slope)],
      ["∂L/∂b", fixed(now.d_intercept)],
    ]);
    this.find("[data-verdict]").textContent = this.#verdict(now);
    for (const name of ["slope", "intercept"]) showValue(this.#field(name), (now[name] ?? 0).toFixed(2));
  }

  #verdict(now) {
    const limit = 2 / sharpest(this.#points);
    const rate = this.controls.number("rate");
    if (now.loss === null || now.loss > 1e4) return "The path has left the valley. Reset, and take a smaller learning rate.";
    if (Math.hypot(now.d_slope, now.d_intercept) < 1e-3) return "The gradient is almost 0: this is the best line for these points.";
    if (rate > limit) return `Each step overshoots by more than it gains: for these points η must stay below ${short(limit)}.`;
    if (rate > limit / 2) return "Each step overshoots the bottom of the valley, and still comes nearer.";
    return rate < limit / 50 ? "Small steps: safe, and slow." : "Each step goes straight down the valley.";
  }
}

/** @returns {[number, number]} */
function at({ slope, intercept }) {
  return [slope, intercept];
}
