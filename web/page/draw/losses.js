import { short } from "../format.js";
import { Plot, thin } from "./plot.js";
import { range } from "./scale.js";

/** @typedef {{name: string, look: string, losses: [number, number][], dots?: boolean}} LossCurve Steps and losses */

/** The loss by step, of one network or several; the running mean where single batches differ. */
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
    const shown = curves.map((curve) => ({ ...curve, points: thin(curve.losses) }));
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

/** Exponential running mean of what came in, for curves of single batches. @param {[number, number][]} points @param {number} keep */
export function smooth(points, keep = 0.9) {
  let mean = 0;
  let weight = 0;
  return points.map(([step, loss]) => {
    mean = keep * mean + (1 - keep) * loss;
    weight = keep * weight + (1 - keep);
    return /** @type {[number, number]} */ ([step, mean / weight]);
  });
}
