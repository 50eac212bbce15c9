/** Numbers as a reader wants them: a true minus sign, a thin space between thousands, "–" for what is not finite. */

const SUPERSCRIPT = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** @param {number | null | undefined} value @param {number} places Decimal places */
export function fixed(value, places = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const text = value.toFixed(places);
  return minus(Number(text) === 0 ? text.replace("-", "") : text);
}

/** About three significant digits; powers of ten where a number is very small or large. @param {number | null | undefined} value */
export function short(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return power(value);
  if (Number.isInteger(value)) return thousands(value);
  return minus(String(Number(value.toPrecision(3))));
}

/** @param {number} value A whole number */
export function thousands(value) {
  return minus(String(value)).replace(/\B(?=(\d{3})+$)/g, "\u2009");
}

/** Such as 2.5 · 10⁻⁷. @param {number} value */
function power(value) {
  const [mantissa, exponent] = value.toExponential(1).split("e");
  const digits = mantissa.replace(/\.0$/, "");
  const ten = `10${superscript(Number(exponent))}`;
  return digits === "1" ? ten : `${minus(digits)}\u2009·\u2009${ten}`;
}

/** @param {number} value */
export function superscript(value) {
  return String(value).replace("-", "⁻").replace(/\d/g, (digit) => SUPERSCRIPT[Number(digit)]);
}

function minus(text) {
  return text.replace("-", "−");
}
