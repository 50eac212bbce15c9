import { element } from "../dom.js";
import { math, matrix, mi, mo, partial, row, sub } from "../draw/formula.js";
import { fixed } from "../format.js";

const text = (values) => values.map((value) => fixed(value)).join("  ");
const heading = (...formula) => element("th", { scope: "col" }, math(...formula));

/** Every number of both passes, step by step. @param {Element} host @param {any} numbers */
export function showSteps(host, numbers) {
  const { x, h, z, slope, dh, dz } = numbers;
  const slopeOf = row(mi("f′"), mo("("), sub("z", "t"), mo(")"));
  const head = element("tr", {}, heading(mi("t")), heading(sub("x", "t")), heading(sub("z", "t")), heading(slopeOf), heading(sub("h", "t")),
    heading(partial(mi("L"), sub("h", "t"))), heading(partial(mi("L"), sub("z", "t"))));
  const line = (t, ...cells) => element("tr", { "data-step": t }, element("th", { scope: "row" }, String(t)), ...cells.map((cell) => element("td", {}, cell)));
  const before = line(0, "", "", "", text(h[0]), text(dh[0]), "");
  const steps = [1, 2, 3].map((t) => line(t, text(x[t - 1]), text(z[t - 1]), text(slope[t - 1]), text(h[t]), text(dh[t]), text(dz[t - 1])));
  host.replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, before, ...steps)), outputLine(numbers));
}

function outputLine({ a, y_hat: yHat, y, da, loss }) {
  const part = (name, values) => element("span", { "data-output": name }, values);
  return element("p", { class: "quiet" }, "Output: a = ", part("a", text(a)), ", ŷ = ", part("y_hat", text(yHat)), ", y = ", part("y", text(y)),
    ", L = ", part("loss", fixed(loss)), ", ∂L/∂a = ", part("da", text(da)));
}

const WEIGHTS = [["w_xh", "W", "xh"], ["w_hh", "W", "hh"], ["b_h", "b", "h"], ["w_hy", "W", "hy"], ["b_y", "b", "y"]];

/** The weights as inputs, beside their gradients; one that is being typed stays. @param {Element} host @param {any} numbers */
export function showWeights(host, { weights, gradient }) {
  const shape = WEIGHTS.map(([name]) => `${rowsOf(weights[name]).length}×${rowsOf(weights[name])[0].length}`).join(" ");
  if (host.getAttribute("data-shape") !== shape) build(host, weights);
  host.setAttribute("data-shape", shape);
  for (const field of /** @type {any} */ (host.querySelectorAll("input:not([data-typed])"))) {
    const { name, row: i, column: j } = field.dataset;
    field.value = shown(rowsOf(weights[name])[Number(i)][Number(j)]);
  }
  for (const cell of host.querySelectorAll("[data-gradient]")) {
    const rows = rowsOf(gradient[cell.getAttribute("data-gradient") ?? ""]);
    cell.replaceChildren(math(matrix(rows.map((cells) => cells.map((value) => fixed(value))))));
  }
}

function build(host, weights) {
  const lines = WEIGHTS.map(([name, letter, index]) => {
    const inputs = rowsOf(weights[name]).map((cells, i) => element("div", { class: "matrix-row" }, ...cells.map((_, j) => input(name, i, j))));
    return element("tr", { "data-weight": name }, element("th", { scope: "row" }, math(sub(letter, index))), element("td", {}, ...inputs),
      element("td", { "data-gradient": name }));
  });
  const head = element("tr", {}, ...["Weight", "Value", "Gradient"].map((name) => element("th", { scope: "col" }, name)));
  host.replaceChildren(element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines)));
}

/** A bias is a column. */
function rowsOf(values) {
  return Array.isArray(values[0]) ? values : values.map((value) => [value]);
}

function shown(value) {
  return String(Number(value.toFixed(6)));
}

function input(name, i, j) {
  const label = `${name.replace("_", " ")}, row ${i + 1}, column ${j + 1}`;
  return element("input", { type: "number", step: "0.05", "aria-label": label, "data-name": name, "data-row": i, "data-column": j });
}
