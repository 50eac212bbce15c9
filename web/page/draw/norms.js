import { short } from "../format.js";
import { Plot, thin } from "./plot.js";

/** The deepest power of ten that is drawn; single precision ends not far below. */
const DEEPEST = -30;

/** ‖∂L/∂h_t‖ by t on a logarithmic axis, one curve a network, dashed after clipping. */
export class NormsPicture {
  #plot;

  /** @param {HTMLElement} host */
  constructor(host) {
    this.#plot = new Plot(host, { x: "step t", y: "‖∂L/∂h‖", logY: true });
  }

  /** @param {{name: string, look: string, norms: (number | null)[], clip_factor: number | null, factor: number | null}[]} networks */
  draw(networks) {
    const curves = networks.flatMap(({ name, look, norms, clip_factor: factor }) => {
      const points = norms.map((norm, i) => /** @type {[number, number]} */ ([i + 1, norm ?? NaN]));
      const whole = { name, look, points: thin(points) };
      if (factor === null || !(factor < 1)) return [whole];
      const clipped = whole.points.map(([t, norm]) => /** @type {[number, number]} */ ([t, norm * factor]));
      return [whole, { name: `${name}, clipped`, look: `${look} dashed`, points: clipped }];
    });
    this.#plot.draw({
      x: [1, Math.max(2, ...networks.map(({ norms }) => norms.length))],
      y: decades(curves.flatMap(({ points }) => points.map(([, norm]) => norm))),
      curves,
      describe: describe(networks),
    });
  }
}

/** Whole powers of ten around the values, so that the axis does not tremble. @returns {[number, number]} */
function decades(values) {
  const powers = values.filter((value) => value > 0 && Number.isFinite(value)).map(Math.log10);
  if (!powers.length) return [1e-4, 1];
  const low = Math.max(DEEPEST, Math.floor(Math.min(...powers)));
  return [10 ** low, 10 ** Math.max(low + 1, Math.ceil(Math.max(...powers)))];
}

/** JSON has no infinity. @param {number | null} norm */
function size(norm) {
  return norm === null ? "beyond all numbers" : short(norm);
}

function describe(networks) {
  if (!networks.length) return "Gradient norm by step: not computed yet.";
  const parts = networks.map(({ name, norms, factor }) => {
    const rate = factor === null ? "" : `, a factor of ${short(factor)} a step back`;
    return `${name} ${size(norms[norms.length - 1])} at the last step, ${size(norms[0])} at the first${rate}`;
  });
  return `Gradient norm by step on a logarithmic axis. ${parts.join("; ")}.`;
}
