import { element, mathml } from "../dom.js";
import { display, math, matrix, mi, mn, mo, partial, row, sub } from "../draw/formula.js";
import { fixed } from "../format.js";

const STEPS = [3, 2, 1];

/** ∂L/∂W_hh as the sum of its three terms; the chain of one is lit in the formula and in the diagram. */
export class TermSum {
  #sum;
  #worked;
  #reactions;
  /** @type {Map<number, HTMLButtonElement>} */
  #terms = new Map();
  /** @type {Map<number, Element>} Where the value of each term stands */
  #values = new Map();
  #total = mathml("mrow");
  /** The term that stays lit. */
  #pinned = 0;
  /** The term that is lit now, and the one of its factors that is pointed at, or -1. */
  #shown = 0;
  #factor = -1;
  /** @type {any} */
  #numbers = null;

  /** @param {Element} sum @param {Element} worked @param {{light: (parts: string[], now?: string) => void, pin: (term: string) => void, say: (text: string) => void}} reactions */
  constructor(sum, worked, reactions) {
    this.#sum = sum;
    this.#worked = worked;
    this.#reactions = reactions;
    sum.append(display(partial(mi("L"), weight()), mo("=")));
    STEPS.forEach((k, i) => sum.append(...(i ? [element("span", { "aria-hidden": "true" }, "+")] : []), this.#term(k)));
    sum.append(math(mo("="), this.#total));
  }

  #term(k) {
    const value = mathml("mrow");
    const factors = chain(k).map(({ formula, part }) => mathml("mrow", { class: "factor", "data-factor": part }, formula));
    const spaced = factors.flatMap((factor, i) => (i ? [mo("·"), factor] : [factor]));
    const button = element("button", { type: "button", class: "term", "aria-pressed": "false" }, display(...spaced), math(value));
    const factorAt = (event) => factors.indexOf(event.target.closest?.(".factor"));
    button.addEventListener("pointerover", (event) => this.#show(k, factorAt(event)));
    button.addEventListener("pointerleave", () => this.#show(this.#pinned));
    button.addEventListener("focus", () => this.#show(k));
    button.addEventListener("blur", () => this.#show(this.#pinned));
    button.addEventListener("click", () => this.#choose(k));
    button.addEventListener("keydown", (event) => this.#walk(event, k, factors.length));
    this.#terms.set(k, button);
    this.#values.set(k, value);
    return button;
  }

  #choose(k) {
    this.pin(this.#pinned === k ? "none" : String(k));
    this.#reactions.pin(this.#pinned ? String(this.#pinned) : "none");
  }

  /** Arrow keys go from factor to factor. */
  #walk(event, k, factors) {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    const places = factors + 1;
    this.#show(k, ((this.#factor + 1 + by + places) % places) - 1);
    this.#reactions.say(chain(k)[this.#factor]?.words ?? `The whole term of step ${k}`);
  }

  /** Keeps a term lit. @param {string} term "1", "2", "3", or anything else for none */
  pin(term) {
    this.#pinned = STEPS.includes(Number(term)) ? Number(term) : 0;
    this.#show(this.#pinned);
  }

  /** @param {any} numbers Of the crate's ThreeSteps */
  draw(numbers) {
    this.#numbers = numbers;
    for (const k of STEPS) {
      const cells = cellsOf(numbers.terms.w_hh[k - 1]);
      this.#values.get(k)?.replaceChildren(matrix(cells));
      this.#terms.get(k)?.setAttribute("aria-label", `Term of step ${k}: ${spoken(k)}. Value ${cells.flat().join(", ")}.`);
    }
    this.#total.replaceChildren(matrix(cellsOf(numbers.gradient.w_hh)));
    this.#show(this.#shown, this.#factor);
  }

  #show(k, factor = -1) {
    this.#shown = k;
    this.#factor = factor;
    for (const [step, button] of this.#terms) {
      button.setAttribute("aria-pressed", String(step === this.#pinned));
      button.classList.toggle("shown", step === k);
      [...button.querySelectorAll(".factor")].forEach((node, i) => {
        node.classList.toggle("lit", step === k);
        node.classList.toggle("now", step === k && factor === i);
      });
    }
    const parts = k ? chain(k).map(({ part }) => part) : [];
    this.#reactions.light(parts, parts[factor]);
    if (!this.#numbers) return;
    this.#worked.replaceChildren(...(k ? workedOut(k, this.#numbers) : [hint()]));
  }
}

function hint() {
  return element("p", { class: "quiet" }, "Point at a term of the sum, or choose it, to see its chain of factors with their numbers.");
}

function weight() {
  return sub("W", "hh");
}

/** The factors of the term of step k, from the loss back. @param {number} k @returns {{formula: Node, part: string, words: string}[]} */
function chain(k) {
  const factors = [{ formula: partial(mi("L"), sub("h", 3)), part: "out", words: "∂L by ∂h3" }];
  for (let t = 3; t > k; t--) {
    factors.push({ formula: partial(sub("h", t), sub("h", t - 1)), part: `h${t}-h${t - 1}`, words: `∂h${t} by ∂h${t - 1}` });
  }
  factors.push({ formula: partial(sub("h", k), weight(), true), part: `use${k}`, words: `direct ∂h${k} by ∂W hh` });
  return factors;
}

function spoken(k) {
  return chain(k).map(({ words }) => words).join(" times ");
}

/** The product along the chain with numbers, and what it gives with the step's own input from h_{k−1}; each part may wrap. */
function workedOut(k, { dh, dz, h, slope, jacobian, terms }) {
  const back = [math(partial(mi("L"), sub("h", k)), mo("="), line(dh[3]))];
  for (let t = 3; t > k; t--) back.push(math(mo("·"), matrix(cellsOf(jacobian[t - 1]))));
  if (k < 3) back.push(math(mo("="), line(dh[k])));
  const prime = row(mathml("msup", {}, mi("f"), mo("′")), mo("("), sub("z", k), mo(")"));
  const through = [
    math(partial(mi("L"), sub("z", k)), mo("="), partial(mi("L"), sub("h", k)), mo("⊙"), prime),
    math(mo("="), line(dh[k]), mo("⊙"), line(slope[k - 1])), math(mo("="), line(dz[k - 1])),
  ];
  const transposed = mathml("msup", {}, row(mo("("), partial(mi("L"), sub("z", k)), mo(")")), mi("T"));
  const before = mathml("msubsup", {}, mi("h"), mn(String(k - 1)), mi("T"));
  const term = [
    math(mi("term"), mo("="), transposed, before),
    math(mo("="), matrix(dz[k - 1].map((value) => [fixed(value)])), mo("·"), line(h[k - 1])),
    math(mo("="), matrix(cellsOf(terms.w_hh[k - 1]))),
  ];
  const meaning = "∂⁺ is the derivative by this use alone, with the state before held fixed; ⊙ multiplies unit by unit.";
  const lines = [back, through, term].map((parts) => element("p", {}, ...parts.flatMap((part) => [part, " "])));
  return [...lines, element("p", { class: "quiet" }, meaning)];
}

function line(values) {
  return matrix([rowOf(values)]);
}

function rowOf(values) {
  return values.map((value) => fixed(value));
}

function cellsOf(rows) {
  return rows.map(rowOf);
}
