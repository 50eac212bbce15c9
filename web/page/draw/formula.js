import { mathml } from "../dom.js";

// Pieces of MathML for formulas whose numbers change.

/** @param {...Node} parts */
export const math = (...parts) => mathml("math", {}, ...parts);
/** With fractions of full size, in a line of text. @param {...Node} parts */
export const display = (...parts) => mathml("math", { displaystyle: "true" }, ...parts);
/** @param {...Node} parts */
export const row = (...parts) => mathml("mrow", {}, ...parts);
/** @param {string} text */
export const mi = (text) => mathml("mi", {}, text);
/** @param {string} text */
export const mo = (text) => mathml("mo", {}, text);
/** @param {string} text */
export const mn = (text) => mathml("mn", {}, text);

/** @param {string} base @param {string | number} index */
export function sub(base, index) {
  return mathml("msub", {}, mi(base), typeof index === "number" ? mn(String(index)) : mi(index));
}

/** ∂a/∂b; `direct` marks the derivative that holds earlier states fixed. @param {Node} above @param {Node} below @param {boolean} direct */
export function partial(above, below, direct = false) {
  const sign = direct ? mathml("msup", {}, mo("∂"), mo("+")) : mo("∂");
  return mathml("mfrac", {}, row(sign, above), row(mo("∂"), below));
}

/** A matrix, a row or a column of numbers; its brackets are borders, since few systems have a font with tall ones. @param {string[][]} cells */
export function matrix(cells) {
  const rows = cells.map((cells) => mathml("mtr", {}, ...cells.map((cell) => mathml("mtd", {}, mn(cell)))));
  return mathml("mtable", { class: "matrix" }, ...rows);
}
