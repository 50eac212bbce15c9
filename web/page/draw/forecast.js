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

  /** Rows have their places by number, since labels may be alike. @param {any} results Of the crate's SeriesRoom */
  draw({ past, future, test }) {
    const left = Math.max(past.first, test.rows[0] - BEFORE);
    this.#labels = [...past.labels.slice(left - past.first), ...future.labels].map(String);
    const end = past.first + past.labels.length;
    const at = (row) => row - left;
    const points = (rows, values) => values.map((value, i) => /** @type {[number, number]} */ ([at(rows(i)), value]));
    const [inPast, inTest, inFuture] = [(i) => past.first + i, (i) => test.rows[i], (i) => end + i];
    const truth = points(inPast, past.values).filter(([x]) => x >= 0);
    // The future begins where the truth ends.
    const last = truth.findLast(([, value]) => value !== null);
    const joined = (values) => (values.length && last ? [last, ...points(inFuture, values)] : []);
    const bands = [
      { upper: points(inTest, test.high), lower: points(inTest, test.low), look: "lstm" },
      { upper: joined(future.high), lower: joined(future.low), look: "lstm" },
    ];
    const all = [...truth, ...points(inTest, test.median), ...joined(future.median), ...bands.flatMap(({ upper, lower }) => [...upper, ...lower])];
    this.#plot.draw({
      x: [0, Math.max(1, this.#labels.length - 1)],
      y: range(all.map(([, value]) => value ?? NaN)),
      bands,
      curves: [
        { name: "naive", look: "naive dashed", points: [...late(truth, at(test.rows[0])), ...points(inFuture, future.naive)] },
        { name: "truth", look: "ink thin", points: truth },
        { name: "forecast", look: "lstm", points: points(inTest, test.median) },
        { name: "future", look: "lstm", points: joined(future.median) },
      ],
      uprights: [
        { at: at(test.rows[0]), label: "test" },
        { at: at(end - 1), label: "future" },
      ],
      describe: describe(past, test, future),
    });
  }
}

/** The naive forecast of the test: the value of the row before. */
function late(truth, first) {
  const values = truth.filter(([x]) => x >= first - 1).map(([x, value]) => /** @type {[number, number]} */ ([x + 1, value]));
  return values.slice(0, -1);
}

function legend() {
  const entry = (look, name) => element("span", { class: `key ${look}` }, element("span", { class: "quiet" }, name));
  return element("p", { class: "legend" }, entry("ink", "truth"), entry("lstm", "forecast (median)"), entry("lstm wide", "range, 10 % to 90 %"), entry("naive dashes", "naive forecast"));
}

function describe(past, test, future) {
  const label = (row) => past.labels[row - past.first];
  const bounds = future.low.length ? `, between ${short(future.low[0])} and ${short(future.high[0])}` : "";
  return `Truth and forecast from ${label(test.rows[0])} to ${label(test.rows.at(-1))}, and of ${future.labels.length} rows after them. The forecast for ${future.labels[0]} is ${short(future.median[0])}${bounds}.`;
}
