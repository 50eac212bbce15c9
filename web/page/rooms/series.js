import { Room } from "./room.js";
import { FRAME, element, throttled } from "../dom.js";
import { ForecastPicture } from "../draw/forecast.js";
import { LossHistory, LossPlot } from "../draw/losses.js";
import { download, onFile, readFile } from "../files.js";
import { fixed, short, thousands } from "../format.js";

const QUANTILES = [0.1, 0.5, 0.9];
const SEED = 1;
const EVALUATE_EVERY = 500;
/** Some hundred steps a second: slow enough to see the forecast form. */
const PACE = { most: 4, rest: 20 };
/** Where training pauses by itself, once: as many epochs as the program takes by default. */
const EPOCHS = 50;
/** Rows of the future at least: a cycle of the sunspots. */
const LEAST_ROWS = 11;
const SUNSPOTS = "Yearly sunspot numbers";
const SUNSPOTS_FILE = "sunspots.csv";

/** Room 5: a series is forecast, and the forecast is measured against the naive one. */
export class SeriesRoom extends Room {
  /** @type {{name: string, bytes: Uint8Array, columns: any} | null} */
  #data = null;
  /** @type {{name: string, bytes: Uint8Array} | null} A model from a file, which only forecasts */
  #model = null;
  /** @type {any} */
  #about = null;
  #losses = new LossHistory();
  #epoch = 0;

  constructor(section, page, name) {
    super(section, page, name, "series");
    this.picture = new ForecastPicture(this.find("[data-picture=forecast]"));
    this.lossPlot = new LossPlot(this.find("[data-picture=loss]"), { log: true });
    this.results = this.repeated(() => this.#evaluate(), EVALUATE_EVERY);
    this.draw = throttled(() => this.#drawLoss(), FRAME);
    this.gentle = ["rate"];
    this.actions = {
      run: () => this.toggle(),
      reset: () => this.#without(),
      sunspots: async () => this.#replace(await this.#sunspots()),
      download: async () => download(await this.call("model_file"), "model.safetensors"),
      data: () => this.#data && download(this.#data.bytes, this.#file),
    };
    this.#bindFiles();
  }

  #bindFiles() {
    for (const kind of ["csv", "model"]) onFile(this.find(`[data-${kind}]`), (file) => this.attempt(() => this.#open(file, kind)));
    const drop = this.find("[data-drop]");
    this.section.addEventListener("dragover", () => drop.classList.add("over"));
    this.section.addEventListener("dragleave", () => drop.classList.remove("over"));
    this.section.addEventListener("drop", (event) => {
      drop.classList.remove("over");
      const file = /** @type {DragEvent} */ (event).dataTransfer?.files[0];
      if (file) this.attempt(() => this.#open(file, /\.safetensors$/i.test(file.name) ? "model" : "csv"));
    });
  }

  async #open(file, kind) {
    const { table, model } = await this.page.limits;
    const bytes = await readFile(file, kind === "csv" ? table : model);
    if (kind === "csv") await this.#replace(await this.#table(file.name, bytes));
    else await this.#load({ name: file.name, bytes });
  }

  async #sunspots() {
    return this.#table(SUNSPOTS, new TextEncoder().encode(await this.call("sunspots")));
  }

  async #table(name, bytes) {
    const columns = await this.call("columns", bytes);
    if (!columns.numeric.length) throw new Error(`${name} has no column of numbers; a series needs one.`);
    return { name, bytes, columns };
  }

  /** Another table: the network begins anew on it. */
  async #replace(data) {
    this.#data = data;
    this.#model = null;
    this.#offerColumns();
    await this.reset();
  }

  #offerColumns() {
    const { numeric, time } = /** @type {any} */ (this.#data).columns;
    const targets = numeric.filter((column) => column !== time);
    this.controls.options("target", targets.length ? targets : numeric);
  }

  /** A model from the program, on the table that is open. */
  async #load(model) {
    this.#model = model;
    await this.reset();
  }

  #without() {
    this.#model = null;
    return this.reset();
  }

  /** The file's name for the program. */
  get #file() {
    const name = this.#data?.name ?? SUNSPOTS;
    return name === SUNSPOTS ? SUNSPOTS_FILE : name;
  }

  async ready() {
    await super.ready();
    if (this.#data) return;
    this.#data = await this.#sunspots();
    this.#offerColumns();
  }

  async make() {
    const { bytes, columns } = /** @type {any} */ (this.#data);
    // The settings are those of a network that is made here.
    this.trainable = this.#model === null;
    this.controls.enable(this.trainable);
    if (this.#model) return this.call("load", this.#model.bytes, bytes);
    const { target, cell } = this.controls.settings;
    return this.call("create", bytes, {
      target,
      time: columns.time ?? undefined,
      window: this.controls.number("window"),
      horizon: this.controls.number("horizon"),
      cell,
      hidden: this.controls.number("hidden"),
      learning_rate: this.controls.number("rate"),
      seed: SEED,
      quantiles: QUANTILES,
    });
  }

  /** A model that does not fit is put away; the room goes on with a new network. */
  refused(error) {
    if (!this.#model || this.made || error.kind !== "input") return super.refused(error);
    this.#model = null;
    this.remake().then(() => this.problem(error.message));
  }

  async adjusted() {
    await this.call("set_learning_rate", this.controls.number("rate"));
  }

  async begun(about) {
    this.#about = about;
    this.#losses = new LossHistory();
    this.#epoch = 0;
    this.#describe();
    this.draw();
    await this.#evaluate();
  }

  #describe() {
    const { rows, training, validation, test, window, horizon, parameters, notes } = this.#about;
    const name = /** @type {any} */ (this.#data).name;
    const splits = [["training", training], ["validation", validation], ["test", test]].map(([split, size]) => `${split} ${thousands(size)}`);
    const model = this.#model ? `Model from ${this.#model.name}, with a window of ${thousands(window)} and a horizon of ${thousands(horizon)}; it forecasts and is not trained here. Reset makes a new network. ` : "";
    const narrow = this.#rows > horizon ? [`after ${horizon} ${horizon === 1 ? "row" : "rows"} of the future the range is too narrow: each forecast builds on the median of the one before`] : [];
    this.find("[data-data-name]").textContent =
      `${model}${name}: ${[`${thousands(rows)} rows`, ...splits].join(", ")}. ${thousands(parameters)} parameters. ${[...notes, ...narrow].map(sentence).join(" ")}`;
    this.find("[data-command]").textContent = `bptt forecast model.safetensors ${quoted(this.#file)}`;
    this.find("[data-do=data]").textContent = `Download ${this.#file}`;
    this.find("[data-caption]").replaceChildren("Forecast and truth ", element("span", { class: "quiet" }, `${name}; the test split, one row ahead, and after it the future`));
  }

  /** The rows of the future: the horizon, and as many as make a curve. */
  get #rows() {
    return Math.max(this.#about.horizon, LEAST_ROWS);
  }

  get pace() {
    return PACE;
  }

  progress({ progress }) {
    for (const { step, loss, epoch } of progress) {
      this.#losses.push(step, loss);
      if (epoch >= EPOCHS && this.#epoch < EPOCHS) this.attempt(() => this.#pause());
      this.#epoch = epoch;
    }
    this.results.tick();
    this.draw();
  }

  #pause() {
    this.note(`Paused after ${EPOCHS} epochs: each training window has been seen ${EPOCHS} times. Train on to see overfitting: the loss of these windows falls, and the test gets worse.`);
    return this.stop();
  }

  async paused() {
    await this.results.now();
  }

  async #evaluate() {
    const about = this.#about;
    const results = await this.call("results", this.#rows);
    if (!results || about !== this.#about) return;
    this.picture.draw(results);
    this.find("[data-verdict]").replaceChildren(...verdict(results.scores, about.horizon));
  }

  summary() {
    return this.find("[data-verdict]").textContent;
  }

  #drawLoss() {
    this.lossPlot.draw([{ name: "training", look: "accent", losses: this.#losses.points }]);
  }
}

function sentence(note) {
  return `${note[0].toUpperCase()}${note.slice(1)}${/[.!?]$/.test(note) ? "" : "."}`;
}

/** A name as a shell reads it. @param {string} name */
function quoted(name) {
  return /^[\w.,+-]+$/.test(name) && !name.startsWith("-") ? name : `'${name.replaceAll("'", "'\\''")}'`;
}

/** Who wins on the test split, and how often the truth lay in the range. */
function verdict({ network, naive, beats, coverage }, horizon) {
  const better = Math.abs(1 - network.rmse / naive.rmse);
  const winner = element("span", { class: beats ? "good" : "bad" }, beats ? "the network wins" : "the naive forecast wins");
  const covered = coverage === null || coverage === undefined ? "" : ` ${fixed(100 * coverage, 0)} % of the true values lie in its range; 80 % should.`;
  const ahead = horizon > 1 ? `, 1 to ${horizon} rows ahead` : "";
  return [`RMSE on the test split${ahead}: network ${short(network.rmse)}, naive forecast ${short(naive.rmse)}: `, winner, ` by ${fixed(100 * better, 0)} %.${covered}`];
}
