import { svg } from "../dom.js";
import { fixed, short } from "../format.js";
import { Plot, thin } from "./plot.js";
import { clamp } from "./scale.js";

const W_RANGE = /** @type {[number, number]} */ ([-2.5, 4]);
const B_RANGE = /** @type {[number, number]} */ ([-3, 3.5]);
const LEVELS = [0.03, 0.12, 0.4, 1, 2, 4, 8, 16];
const CORNERS = 64;

/** The loss is a quadratic of slope and intercept: L − L_min = a Δw² + 2 b Δw Δb + Δb². @param {number[][]} points */
function quadratic(points) {
  const mean = (value) => points.reduce((sum, point) => sum + value(point), 0) / points.length;
  const [x, y] = [mean(([x]) => x), mean(([, y]) => y)];
  const [xx, xy] = [mean(([x]) => x * x), mean(([x, y]) => x * y)];
  const variance = xx - x * x;
  if (variance < 1e-9) return null;
  const slope = (xy - x * y) / variance;
  return { a: xx, b: x, slope, intercept: y - slope * x };
}

/** The largest curvature of the loss: gradient descent converges for learning rates below 2 divided by it. @param {number[][]} points */
export function sharpest(points) {
  const n = points.length;
  const xx = points.reduce((sum, [x]) => sum + x * x, 0) / n;
  const x = points.reduce((sum, [x]) => sum + x, 0) / n;
  return xx + 1 + Math.hypot(xx - 1, 2 * x);
}

/** Level lines of the loss over slope and intercept, and the path of gradient descent. */
export class ValleyPicture {
  #plot;

  /** @param {HTMLElement} host @param {(slope: number, intercept: number) => void} picked */
  constructor(host, picked) {
    this.#plot = new Plot(host, { x: "w", y: "b" });
    this.#plot.svg.classList.add("pickable");
    this.#plot.svg.addEventListener("click", (event) => {
      const box = this.#plot.svg.getBoundingClientRect();
      const [w, b] = [this.#plot.x.back(event.clientX - box.left), this.#plot.y.back(event.clientY - box.top)];
      picked(clamp(w, W_RANGE), clamp(b, B_RANGE));
    });
  }

  /** @param {number[][]} points @param {[number, number][]} path @param {{slope: number, intercept: number, loss: number}} now */
  draw(points, path, now) {
    const shown = thin(path.filter(([w, b]) => Math.abs(w) < 1e4 && Math.abs(b) < 1e4));
    this.#plot.draw({
      x: W_RANGE,
      y: B_RANGE,
      curves: [{ points: shown, look: "accent thin" }],
      dots: [{ points: shown, look: "accent" }],
      describe: `Level lines of the loss; the path stands at w ${fixed(now.slope, 2)}, b ${fixed(now.intercept, 2)} with loss ${short(now.loss)} after ${path.length - 1} steps.`,
    });
    const bowl = quadratic(points);
    if (!bowl) return;
    this.#plot.area.prepend(...LEVELS.map((level) => svg("path", { class: "contour", d: this.#ellipse(bowl, level) })));
  }

  /** Where a Δw² + 2 b Δw Δb + Δb² = level. */
  #ellipse({ a, b, slope, intercept }, level) {
    const along = Math.sqrt(a - b * b);
    const corners = Array.from({ length: CORNERS }, (_, i) => {
      const angle = (2 * Math.PI * i) / CORNERS;
      const dw = (Math.sqrt(level) * Math.cos(angle)) / along;
      const db = Math.sqrt(level) * Math.sin(angle) - b * dw;
      return `${this.#plot.x.at(slope + dw).toFixed(1)} ${this.#plot.y.at(intercept + db).toFixed(1)}`;
    });
    return `M${corners.join("L")}Z`;
  }
}
