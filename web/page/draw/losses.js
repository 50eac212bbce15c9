import { short } from "../format.js";
import { Plot } from "./plot.js";
import { range } from "./scale.js";

/** @typedef {{name: string, look: string, losses: [number, number][], dots?: boolean}} LossCurve Steps and losses */

/** The most points of a curve. */
const MOST = 800;

/** The loss by step in a bounded number of points: the exponential running mean, since single batches differ. */
export class LossHistory {
  #keep;
  #mean = 0;
  #weight = 0;
  #stride = 1;
  #count = 0;
  /** @type {[number, number][]} */
  #kept = [];
  /** @type {[number, number] | null} The last step and its mean */
  last = null;

  /** @param {number} keep The share of the mean that a new loss leaves */
  constructor(keep = 0.9) {
    this.#keep = keep;
  }

  /** @param {number} step @param {number} loss */
  push(step, loss) {
    this.#mean = this.#keep * this.#mean + (1 - this.#keep) * loss;
    this.#weight = this.#keep * this.#weight + (1 - this.#keep);
    this.last = [step, this.#mean / this.#weight];
    if (this.#count++ % this.#stride) return;
    this.#kept.push(this.last);
    if (this.#kept.length < MOST) return;
    // Every second one stays.
    this.#kept = this.#kept.filter((_, i) => i % 2 === 0);
    this.#stride *= 2;
  }

  /** @returns {[number, number][]} First and last among them */
  get points() {
    return !this.last || this.#kept.at(-1) === this.last ? this.#kept : [...this.#kept, this.last];
  }
}

/** The loss by step, of one network or several. */
export class LossPlot {
  #plot;
  #log;

  /** @param {HTMLElement} host @param {{log?: boolean}} options */
  constructor(host, { log = false } = {}) {
    this.#log = log;
    this.#plot = new Plot(host, { x: "step", y: "loss", logY: log });
  }

  /** @param {LossCurve[]} curves @param {{at: number, label: string}[]} levels */
  draw(curves, levels = []) {
    const shown = curves.map((curve) => ({ ...curve, points: curve.losses }));
    const values = [...shown.flatMap(({ points }) => points.map(([, loss]) => loss)), ...levels.map(({ at }) => at)];
    const last = Math.max(10, ...shown.map(({ points }) => points.at(-1)?.[0] ?? 0));
    const first = Math.min(...shown.map(({ points }) => points[0]?.[0] ?? 0), last - 10);
    this.#plot.draw({
      x: [Math.max(0, first), last],
      y: this.#log ? logRange(values) : range(values),
      curves: shown.filter((curve) => !curve.dots),
      dots: shown.filter((curve) => curve.dots),
      levels,
      describe: describe(shown),
    });
  }
}

/** @param {number[]} values @returns {[number, number]} */
function logRange(values) {
  const positive = values.filter((value) => value > 0 && Number.isFinite(value));
  if (!positive.length) return [1e-3, 1];
  const low = Math.log10(Math.min(...positive));
  const high = Math.log10(Math.max(...positive));
  const margin = Math.max(0.05 * (high - low), 0.1);
  return [10 ** (low - margin), 10 ** (high + margin)];
}

function describe(curves) {
  const known = curves.filter(({ points }) => points.length);
  if (!known.length) return "Loss by step: no step yet.";
  const parts = known.map(({ name, points }) => {
    const [[, first], [step, last]] = [points[0], points[points.length - 1]];
    return `${name} from ${short(first)} to ${short(last)} at step ${step}`;
  });
  return `Loss by step: ${parts.join("; ")}.`;
}
