import { svg } from "../dom.js";
import { fixed } from "../format.js";

const BELOW = "₀₁₂₃";
/** Under this width the steps go down the page instead of across. */
const NARROW = 560;

/** Sizes of the two layouts, in units of the picture. */
const ACROSS = { width: 780, height: 292, box: 132, h: 86, gap: 66 };
const DOWN = { width: 330, height: 556, box: 132, h: 82, gap: 36 };

/** The network unrolled over its three steps, with the numbers of both passes; parts are lit by name. */
export class Unrolled {
  #host;
  #svg = svg("svg", { role: "img", "aria-label": "No numbers yet" });
  #narrow = false;
  /** @type {any} */
  #numbers = null;
  /** @type {Set<string>} */
  #lit = new Set();
  #now = "";

  /** @param {HTMLElement} host */
  constructor(host) {
    this.#host = host;
    host.append(this.#svg);
    new ResizeObserver(() => this.#resize()).observe(host);
  }

  #resize() {
    const narrow = this.#host.clientWidth < NARROW;
    if (narrow === this.#narrow) return;
    this.#narrow = narrow;
    if (this.#numbers) this.draw(this.#numbers);
  }

  /** @param {any} numbers Of the crate's ThreeSteps */
  draw(numbers) {
    this.#numbers = numbers;
    const layout = this.#narrow ? down() : across();
    this.#host.classList.toggle("upright", this.#narrow);
    this.#svg.setAttribute("viewBox", `0 0 ${layout.width} ${layout.height}`);
    this.#svg.setAttribute("aria-label", describe(numbers));
    this.#svg.replaceChildren(...states(layout, numbers), ...inputs(layout, numbers), ...output(layout, numbers));
    this.light([...this.#lit], this.#now);
  }

  /**
   * Lights parts by their names: `h2-h1`, `out`, `use1`; nothing lit leaves all as they are.
   * @param {string[]} names @param {string} [now] The one that is pointed at
   */
  light(names, now = "") {
    this.#lit = new Set(names);
    this.#now = now;
    for (const part of this.#svg.querySelectorAll("[data-part]")) {
      const known = (part.getAttribute("data-part") ?? "").split(" ");
      const lit = known.some((name) => this.#lit.has(name));
      part.classList.toggle("use", known.some((name) => name.startsWith("use") && this.#lit.has(name)));
      part.classList.toggle("factor", this.#lit.has(known[0]));
      part.classList.toggle("lit", lit);
      part.classList.toggle("now", known.includes(now));
      part.classList.toggle("dim", names.length > 0 && !lit && !part.hasAttribute("data-box"));
    }
  }
}

/** Places of the boxes: the middle of each. */
function across() {
  const { width, height, box, h, gap } = ACROSS;
  const x = (t) => 70 + t * (box + gap);
  return {
    width, height, box, h,
    state: (t) => [x(t), 146],
    input: (t) => [x(t), 258],
    hat: [x(3), 34],
    loss: [x(2), 34],
    beside: false,
  };
}

function down() {
  const { width, height, box, h, gap } = DOWN;
  const y = (t) => 46 + t * (h + gap);
  return {
    width, height, box, h,
    state: (t) => [width - box / 2 - 4, y(t)],
    input: (t) => [62, y(t)],
    hat: [width - box / 2 - 4, y(4) - 6],
    loss: [62, y(4) - 6],
    beside: true,
  };
}

function states(layout, { h, dh }) {
  return [0, 1, 2, 3].flatMap((t) => {
    const [x, y] = layout.state(t);
    const parts = [`h${t}`];
    const box = svg("g", { "data-part": parts.join(" "), "data-box": true }, ...card(layout, x, y, `h${BELOW[t]}`, h[t], `∂L/∂h${BELOW[t]}`, dh[t]));
    return t === 0 ? [box] : [recurrent(layout, t), box];
  });
}

/** The arrow from one state to the next: a factor ∂h_t/∂h_{t−1}, and the place where W_hh is used. */
function recurrent(layout, t) {
  const [from, to] = [layout.state(t - 1), layout.state(t)];
  const { box, h } = layout;
  const [start, end] = layout.beside
    ? [[from[0], from[1] + h / 2], [to[0], to[1] - h / 2]]
    : [[from[0] + box / 2, from[1]], [to[0] - box / 2, to[1]]];
  const middle = [(start[0] + end[0]) / 2, (start[1] + end[1]) / 2];
  /** @type {any[]} */
  const label = layout.beside ? [middle[0] + 9, middle[1] + 4, "start"] : [middle[0] - 2, middle[1] - 9, "middle"];
  const [left, middleY] = [label[2] === "start" ? label[0] - 5 : label[0] - 18, label[1] - 4];
  const pill = svg("rect", { class: "pill", x: left, y: middleY - 10, width: 36, height: 20, rx: 10 });
  return svg("g", { "data-part": `h${t}-h${t - 1} use${t}` }, ...arrow(start, end), pill, weight(label, "Wₕₕ"));
}

function inputs(layout, { x: values }) {
  return [1, 2, 3].map((t) => {
    const [x, y] = layout.input(t);
    const state = layout.state(t);
    const { box, h } = layout;
    const [start, end] = layout.beside
      ? [[x + box / 2 - 6, y], [state[0] - box / 2, y]]
      : [[x, y - 26], [x, state[1] + h / 2]];
    const label = layout.beside ? [(start[0] + end[0]) / 2, y - 8, "middle"] : [x + 8, (start[1] + end[1]) / 2 + 4, "start"];
    return svg("g", { "data-part": `x${t}` }, ...small(layout, x, y, `x${BELOW[t]}`, values[t - 1]), ...arrow(start, end), weight(label, "Wₓₕ"));
  });
}

function output(layout, { y_hat: yHat, y, loss }) {
  const { box, h } = layout;
  const last = layout.state(3);
  const [hat, place] = [layout.hat, layout.loss];
  const up = layout.beside ? 1 : -1;
  const toHat = arrow([last[0], last[1] + (up * h) / 2], [hat[0], hat[1] - up * 30]);
  const toLoss = arrow([hat[0] - box / 2, hat[1]], [place[0] + (layout.beside ? box / 2 - 6 : box / 2), place[1]]);
  const label = [hat[0] + 8, (last[1] + (up * h) / 2 + hat[1] - up * 30) / 2 + 4, "start"];
  return [
    svg("g", { "data-part": "out" }, ...toHat, weight(label, "Wₕᵧ"), ...toLoss, ...small(layout, ...hat, "ŷ", yHat), ...lossCard(layout, place, loss, y)),
  ];
}

function lossCard(layout, [x, y], loss, target) {
  const width = layout.beside ? layout.box - 12 : layout.box;
  return [
    svg("rect", { class: "box", x: x - width / 2, y: y - 26, width, height: 52, rx: 8 }),
    text(x, y - 6, `L = ${fixed(loss)}`, "", "middle"),
    text(x, y + 14, `y = ${target.map((value) => fixed(value, 0)).join("  ")}`, "", "middle"),
  ];
}

/** A state with the numbers of both passes. */
function card({ box, h }, x, y, name, forward, backName, back) {
  const [left, top] = [x - box / 2, y - h / 2];
  return [
    svg("rect", { class: "box", x: left, y: top, width: box, height: h, rx: 9 }),
    text(x, top + 19, name, "symbol", "middle"),
    text(x, top + 37, numbers(forward), "", "middle"),
    text(x, top + 57, backName, "symbol back-number", "middle"),
    text(x, top + 74, numbers(back), "back-number", "middle"),
  ];
}

function small({ box, beside }, x, y, name, values) {
  const width = beside && name.startsWith("x") ? box - 12 : box;
  return [
    svg("rect", { class: "box", x: x - width / 2, y: y - 26, width, height: 52, rx: 8 }),
    text(x, y - 6, name, "symbol", "middle"),
    text(x, y + 14, numbers(values), "", "middle"),
  ];
}

function numbers(values) {
  const places = values.length > 2 ? 2 : 4;
  return values.map((value) => fixed(value, places)).join("  ");
}

function text(x, y, content, look, anchor) {
  return svg("text", { x, y, class: look, "text-anchor": anchor }, content);
}

/** @param {any[]} place Across, down and the anchor of the text @param {string} name */
function weight([x, y, anchor], name) {
  return svg("text", { x, y, class: "weight", "text-anchor": anchor }, name);
}

/** @param {number[]} from @param {number[]} to */
function arrow([x1, y1], [x2, y2]) {
  const length = Math.hypot(x2 - x1, y2 - y1) || 1;
  const [ux, uy] = [(x2 - x1) / length, (y2 - y1) / length];
  const [bx, by] = [x2 - 8 * ux, y2 - 8 * uy];
  const head = `M${x2} ${y2}L${bx - 4 * uy} ${by + 4 * ux}L${bx + 4 * uy} ${by - 4 * ux}Z`;
  return [svg("path", { class: "arrow", d: `M${x1} ${y1}L${bx} ${by}` }), svg("path", { class: "arrow-head", d: head })];
}

function describe({ h, dh, y_hat: yHat, loss }) {
  const parts = h.map((values, t) => `h${t} is ${numbers(values)}, and the derivative of L by it ${numbers(dh[t])}`);
  return `Three steps of the network. ${parts.join("; ")}. The prediction is ${numbers(yHat)}, the loss ${fixed(loss)}.`;
}
