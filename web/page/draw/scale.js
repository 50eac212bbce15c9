import { short, superscript } from "../format.js";

/** @typedef {{at: (value: number) => number, back: (pixel: number) => number, ticks: {value: number, label: string}[], low: number, high: number}} Scale */

/**
 * Values to pixels, evenly.
 * @param {number} low @param {number} high @param {number} from @param {number} to In pixels @param {number} count Of ticks, about
 * @returns {Scale}
 */
export function linear(low, high, from, to, count = 5) {
  const span = high - low || 1;
  const step = niceStep(span / count);
  const ticks = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) {
    const value = Number((i * step).toPrecision(12));
    ticks.push({ value, label: short(value) });
  }
  const at = (value) => from + ((value - low) / span) * (to - from);
  const back = (pixel) => low + ((pixel - from) / (to - from)) * span;
  return { at, back, ticks, low, high };
}

/**
 * Powers of ten to pixels, evenly; what is not above zero has no place.
 * @param {number} low @param {number} high @param {number} from @param {number} to @param {number} count @returns {Scale}
 */
export function logarithmic(low, high, from, to, count = 6) {
  const [first, last] = [Math.log10(low), Math.log10(high)];
  if (last - first < 2) return within(low, high, from, to, first, last);
  const decades = Math.max(1, Math.ceil((last - first) / count));
  const ticks = [];
  for (let power = Math.ceil(first / decades - 1e-9) * decades; power <= last + 1e-9; power += decades) {
    ticks.push({ value: 10 ** power, label: power === 0 ? "1" : `10${superscript(power)}` });
  }
  return { ...places(first, last, from, to), ticks, low, high };
}

/** Few powers of ten: ticks between them too. */
function within(low, high, from, to, first, last) {
  const ticks = [];
  for (let power = Math.floor(first); power <= last; power++) {
    for (const step of last - first < 0.8 ? [1, 1.5, 2, 3, 4, 5, 7] : [1, 2, 5]) {
      const value = Number((step * 10 ** power).toPrecision(6));
      if (value >= low && value <= high) ticks.push({ value, label: short(value) });
    }
  }
  return { ...places(first, last, from, to), ticks, low, high };
}

function places(first, last, from, to) {
  const at = (value) => (value > 0 ? from + ((Math.log10(value) - first) / (last - first || 1)) * (to - from) : NaN);
  const back = (pixel) => 10 ** (first + ((pixel - from) / (to - from)) * (last - first));
  return { at, back };
}

/** 1, 2 or 5 times a power of ten. @param {number} rough */
function niceStep(rough) {
  const power = 10 ** Math.floor(Math.log10(rough));
  const nice = [1, 2, 5, 10].find((step) => step * power >= rough * 0.999) ?? 10;
  return nice * power;
}

/** The range of values, a little wider. @param {number[]} values @param {number} margin Part of the range @returns {[number, number]} */
export function range(values, margin = 0.06) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (!Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  const span = high - low || Math.abs(high) || 1;
  return [low - span * margin, high + span * margin];
}

/** @param {number} value @param {[number, number]} range */
export function clamp(value, [low, high]) {
  return Math.min(high, Math.max(low, value));
}
