import { element } from "../dom.js";
import { short } from "../format.js";
import { Plot } from "./plot.js";
import { range } from "./scale.js";

/** Rows before the test split that are shown. */
const BEFORE = 40;

/** Truth, forecast with its range, naive forecast; over the test split and the future. */
export class ForecastPicture {
  #plot;
  /** @type {string[]} */
  #labels = [];

  /** @param {HTMLElement} host */
  constructor(host) {
    this.#plot = new Plot(host, { x: "", y: "", labels: (index) => this.#labels[Math.round(index)] ?? "" });
    host.before(legend());
  }

  /** @param {any} forecast Of the crate's SeriesRoom */
  draw({ past, future, test }) {
    const from = Math.max(0, past.labels.indexOf(test.labels[0]) - BEFORE);
    this.#labels = [...past.labels.slice(from), ...future.labels].map(String);
    const place = new Map(this.#labels.map((label, i) => [label, i]));
    const points = (labels, values) => values.map((value, i) => [place.get(String(labels[i])) ?? NaN, value]).filter(([x]) => Number.isFinite(x));
    const truth = points(past.labels, past.values);
    const naive = naivePoints(truth, points(future.labels, future.naive), place.get(String(test.labels[0])) ?? 0);
    const bands = [test, future].map(({ labels, low, high }) => ({ upper: points(labels, high), lower: points(labels, low), look: "lstm" }));
    const all = [...truth, ...bands.flatMap(({ upper, lower }) => [...upper, ...lower])].map(([, value]) => value);
    this.#plot.draw({
      x: [0, Math.max(1, this.#labels.length - 1)],
      y: range(all),
      bands,
      curves: [
        { name: "naive", look: "naive dashed", points: naive },
        { name: "truth", look: "ink thin", points: truth },
        { name: "forecast", look: "lstm", points: points(test.labels, test.median) },
        { name: "future", look: "lstm", points: points(future.labels, future.median) },
      ],
      uprights: [
        { at: place.get(String(test.labels[0])) ?? 0, label: "test" },
        { at: past.labels.length - from - 1, label: "future" },
      ],
      describe: describe(test, future),
    });
  }
}

/** The last known value, one row late; in the future as the crate gives it. */
function naivePoints(truth, future, first) {
  const late = truth.filter(([x]) => x >= first - 1).map(([x, value]) => [x + 1, value]);
  return [...late.slice(0, -1), ...future];
}

function legend() {
  const entry = (look, name) => element("span", { class: `key ${look}` }, element("span", { class: "quiet" }, name));
  return element("p", { class: "legend" }, entry("ink", "truth"), entry("lstm", "forecast (median)"), entry("lstm wide", "range, 10 % to 90 %"), entry("naive dashes", "naive forecast"));
}

function describe(test, future) {
  const next = future.labels.length ? ` The forecast for ${future.labels[0]} is ${short(future.median[0])}, between ${short(future.low[0])} and ${short(future.high[0])}.` : "";
  return `Truth and forecast from ${test.labels[0]} to ${test.labels.at(-1)}.${next}`;
}
