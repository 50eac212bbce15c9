import { svg } from "../dom.js";
import { linear, logarithmic } from "./scale.js";

/** @typedef {{points: [number, number][], name?: string, look?: string}} Curve A gap where a value is not finite */
/** @typedef {{upper: [number, number][], lower: [number, number][], look: string}} Band */
/** @typedef {{at: number, label: string}} Mark A value with a line and a label */
/**
 * @typedef {object} Content
 * @property {[number, number]} x The range of the axis
 * @property {[number, number]} y
 * @property {Curve[]} [curves]
 * @property {Band[]} [bands]
 * @property {Curve[]} [dots]
 * @property {Mark[]} [levels] Horizontal
 * @property {Mark[]} [uprights]
 * @property {string} describe The picture in words
 */

const MARGIN = { left: 52, right: 14, top: 12, bottom: 34 };
const CHARACTER = 6.6;
let plots = 0;

/** Axes with curves, in the pixels of its place; drawn again when the place changes its size. */
export class Plot {
  #host;
  #options;
  #svg = svg("svg", { role: "img", "aria-label": "No numbers yet" });
  #frame = svg("rect", { x: MARGIN.left, y: 0 });
  #axesLayer = svg("g");
  /** What is cut off at the axes. */
  area = svg("g");
  /** Stays between drawings, for what can be dragged. */
  front = svg("g");
  /** @type {Content | null} */
  #content = null;
  width = 300;
  height = 150;
  x = linear(0, 1, 0, 1);
  y = linear(0, 1, 0, 1);

  /**
   * @param {HTMLElement} host
   * @param {{x: string, y: string, logY?: boolean, labels?: (value: number) => string}} options Names and kinds of the axes
   */
  constructor(host, options) {
    this.#host = host;
    this.#options = options;
    const id = `plot-${++plots}`;
    this.area.setAttribute("clip-path", `url(#${id})`);
    this.#svg.append(svg("clipPath", { id }, this.#frame), this.#axesLayer, this.area, this.front);
    host.append(this.#svg);
    new ResizeObserver(() => this.#resize()).observe(host);
  }

  get svg() {
    return this.#svg;
  }

  #resize() {
    const { clientWidth, clientHeight } = this.#host;
    if (!clientWidth || (clientWidth === this.width && clientHeight === this.height)) return;
    [this.width, this.height] = [clientWidth, clientHeight];
    this.#svg.setAttribute("viewBox", `0 0 ${this.width} ${this.height}`);
    if (this.#content) this.draw(this.#content);
  }

  /** @param {Content} content */
  draw(content) {
    this.#content = content;
    this.#scale(content);
    this.#svg.setAttribute("aria-label", content.describe);
    const { bands = [], curves = [], dots = [], levels = [], uprights = [] } = content;
    this.#axesLayer.replaceChildren(...this.#axes());
    this.area.replaceChildren(
      ...bands.map((band) => this.#band(band)),
      ...levels.flatMap((level) => this.#level(level)),
      ...uprights.flatMap((upright) => this.#upright(upright)),
      ...curves.map((curve) => svg("path", { class: `curve ${curve.look ?? ""}`, d: this.#path(curve.points) })),
      ...dots.flatMap((curve) => this.#dots(curve)),
    );
  }

  #scale({ x, y }) {
    const { logY } = this.#options;
    const right = this.width - MARGIN.right;
    const bottom = this.height - MARGIN.bottom;
    this.#frame.setAttribute("width", String(Math.max(0, right - MARGIN.left + 4)));
    this.#frame.setAttribute("height", String(Math.max(0, bottom + 1)));
    const columns = Math.max(2, Math.floor((right - MARGIN.left) / 80));
    const rows = Math.max(2, Math.floor((bottom - MARGIN.top) / 34));
    this.x = linear(x[0], x[1], MARGIN.left, right, columns);
    this.y = (logY ? logarithmic : linear)(y[0], y[1], bottom, MARGIN.top, rows);
  }

  #axes() {
    const [right, bottom] = [this.width - MARGIN.right, this.height - MARGIN.bottom];
    const rows = this.y.ticks.flatMap(({ value, label }) => {
      const y = this.y.at(value);
      return [svg("path", { class: "grid", d: `M${MARGIN.left} ${y}H${right}` }), svg("text", { x: MARGIN.left - 7, y: y + 4, "text-anchor": "end" }, label)];
    });
    const columns = this.x.ticks.map(({ value, label }) => {
      const text = this.#options.labels?.(value) ?? label;
      return svg("text", { x: this.x.at(value), y: bottom + 15, "text-anchor": "middle" }, text);
    });
    return [
      ...rows,
      ...columns,
      svg("path", { class: "axis", d: `M${MARGIN.left} ${bottom}H${right}` }),
      svg("text", { x: right, y: this.height - 5, "text-anchor": "end" }, this.#options.x),
      svg("text", { x: 6, y: this.height - 5 }, this.#options.y),
    ];
  }

  /** @param {[number, number][]} points */
  #path(points) {
    let path = "";
    /** How many points the line has so far: one alone becomes a dot. */
    let run = 0;
    for (const [x, y] of points) {
      const [across, up] = y === null ? [NaN, NaN] : [this.x.at(x), this.y.at(y)];
      if (!Number.isFinite(across) || !Number.isFinite(up)) {
        path += run === 1 ? "h0" : "";
        run = 0;
        continue;
      }
      path += `${run ? "L" : "M"}${across.toFixed(1)} ${up.toFixed(1)}`;
      run++;
    }
    return run === 1 ? `${path}h0` : path;
  }

  #band({ upper, lower, look }) {
    const edge = [...upper, ...[...lower].reverse()];
    return svg("path", { class: `band ${look}`, d: `${this.#path(edge)}Z` });
  }

  #level({ at, label }) {
    const [y, right] = [this.y.at(at), this.width - MARGIN.right];
    if (y < MARGIN.top || y > this.height - MARGIN.bottom) return [];
    return [
      svg("path", { class: "mark faint", d: `M${MARGIN.left} ${y}H${right}` }),
      svg("text", { x: right - 4, y: y < MARGIN.top + 16 ? y + 14 : y - 5, "text-anchor": "end" }, label),
    ];
  }

  #upright({ at, label }) {
    const x = this.x.at(at);
    const fits = x + label.length * CHARACTER < this.width - MARGIN.right;
    return [
      svg("path", { class: "mark faint", d: `M${x} ${MARGIN.top}V${this.height - MARGIN.bottom}` }),
      svg("text", { x: fits ? x + 5 : x - 5, y: MARGIN.top + 10, "text-anchor": fits ? "start" : "end" }, label),
    ];
  }

  /** @param {Curve} curve */
  #dots({ points, look }) {
    const shown = points.filter(([, y]) => y !== null && Number.isFinite(this.y.at(y)));
    return shown.map(([x, y]) => svg("circle", { class: `dots ${look ?? ""}`, cx: this.x.at(x), cy: this.y.at(y), r: 2.4 }));
  }
}

/** At most `most` of the points, first and last among them. @template T @param {T[]} points @param {number} most @returns {T[]} */
export function thin(points, most = 400) {
  if (points.length <= most) return points;
  return Array.from({ length: most }, (_, i) => points[Math.round((i * (points.length - 1)) / (most - 1))]);
}
