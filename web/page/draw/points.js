import { svg } from "../dom.js";
import { fixed } from "../format.js";
import { Plot } from "./plot.js";
import { clamp } from "./scale.js";

const RANGE = /** @type {[number, number]} */ ([-2.5, 2.5]);
const Y_RANGE = /** @type {[number, number]} */ ([-3, 3.5]);
/** How far an arrow key moves a point. */
const NUDGE = 0.1;

/** Points to drag, the line, and the error of each point as an upright stroke. */
export class PointsPicture {
  #plot;
  #moved;
  /** @type {SVGElement[]} */
  #handles = [];
  #layer = svg("g");

  /** @param {HTMLElement} host @param {(index: number, x: number, y: number) => void} moved */
  constructor(host, moved) {
    this.#moved = moved;
    this.#plot = new Plot(host, { x: "x", y: "y" });
    // Points are controls, so that the picture is a group and not an image.
    this.#plot.svg.setAttribute("role", "group");
  }

  /** @param {number[][]} points @param {{slope: number, intercept: number, predictions: number[]}} now */
  draw(points, now) {
    const line = RANGE.map((x) => [x, now.slope * x + now.intercept]);
    const inside = now.slope !== null && Number.isFinite(line[0][1]) && Math.abs(line[0][1]) < 1e6;
    this.#plot.draw({
      x: RANGE,
      y: Y_RANGE,
      curves: inside ? [{ points: /** @type {any} */ (line), look: "accent" }] : [],
      describe: `${points.length} points and the line y = ${fixed(now.slope, 2)} x + ${fixed(now.intercept, 2)}.`,
    });
    this.#residuals(points, now.predictions ?? []);
    points.forEach(([x, y], index) => this.#place(index, x, y));
    this.#plot.area.append(this.#layer);
  }

  #residuals(points, predictions) {
    const { x: across, y: up } = this.#plot;
    const strokes = points.map(([x, y], i) => {
      const end = Number.isFinite(predictions[i]) ? Math.max(-500, Math.min(1500, up.at(predictions[i]))) : up.at(y);
      return svg("path", { class: "residual", d: `M${across.at(x)} ${up.at(y)}V${end}` });
    });
    this.#layer.replaceChildren(...strokes);
  }

  #place(index, x, y) {
    if (!this.#handles[index]) this.#plot.front.append((this.#handles[index] = this.#handle(index)));
    const handle = this.#handles[index];
    handle.setAttribute("transform", `translate(${this.#plot.x.at(x)} ${this.#plot.y.at(y)})`);
    handle.dataset.x = String(x);
    handle.dataset.y = String(y);
    handle.setAttribute("aria-valuenow", fixed(y, 1).replace("−", "-"));
    handle.setAttribute("aria-valuetext", `x ${fixed(x, 1)}, y ${fixed(y, 1)}`);
  }

  #handle(index) {
    const [low, high] = Y_RANGE;
    // What a finger hits is larger than what is seen.
    const circles = [svg("circle", { class: "target", r: 12 }), svg("circle", { r: 7 })];
    const handle = svg("g", { class: "handle", tabindex: 0, role: "slider", "aria-label": `Point ${index + 1}`, "aria-valuemin": low, "aria-valuemax": high }, ...circles);
    handle.addEventListener("pointerdown", (event) => handle.setPointerCapture(event.pointerId));
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const box = this.#plot.svg.getBoundingClientRect();
      this.#move(index, this.#plot.x.back(event.clientX - box.left), this.#plot.y.back(event.clientY - box.top));
    });
    handle.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: [-NUDGE, 0], ArrowRight: [NUDGE, 0], ArrowUp: [0, NUDGE], ArrowDown: [0, -NUDGE] }[event.key];
      if (!by) return;
      event.preventDefault();
      this.#move(index, Number(handle.dataset.x) + by[0], Number(handle.dataset.y) + by[1]);
    });
    return handle;
  }

  #move(index, x, y) {
    const [inX, inY] = [clamp(x, RANGE), clamp(y, Y_RANGE)];
    // The next key may come before the picture is drawn again.
    this.#place(index, inX, inY);
    this.#moved(index, inX, inY);
  }
}
