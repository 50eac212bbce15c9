/** @template {keyof HTMLElementTagNameMap} K @param {K} tag @param {Record<string, any>} attributes @param {...(Node | string)} children @returns {HTMLElementTagNameMap[K]} */
export function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

const SVG = "http://www.w3.org/2000/svg";

/** @param {string} tag @param {Record<string, any>} attributes @param {...(Node | string)} children @returns {SVGElement} */
export function svg(tag, attributes = {}, ...children) {
  return fill(/** @type {SVGElement} */ (document.createElementNS(SVG, tag)), attributes, children);
}

const MATHML = "http://www.w3.org/1998/Math/MathML";

/** @param {string} tag @param {Record<string, any>} attributes @param {...(Node | string)} children @returns {Element} */
export function mathml(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(MATHML, tag), attributes, children);
}

/** @template {Element} T @param {T} node @returns {T} */
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children);
  return node;
}

/** Shows names and values in a definition list. @param {Element} list @param {[string, string][]} entries */
export function showNumbers(list, entries) {
  const items = entries.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value)));
  list.replaceChildren(...items);
}

/** Calls `work` at once, then at most once in `milliseconds`, and always a last time. @param {() => void} work @param {number} milliseconds */
export function throttled(work, milliseconds) {
  let last = 0;
  let timer = 0;
  return () => {
    const wait = last + milliseconds - performance.now();
    if (timer) return;
    const go = () => {
      timer = 0;
      last = performance.now();
      work();
    };
    if (wait <= 0) go();
    else timer = window.setTimeout(go, wait);
  };
}

/** Milliseconds between two frames of a picture that moves with training. */
export const FRAME = window.matchMedia("(prefers-reduced-motion: reduce)").matches ? 1000 : 50;
