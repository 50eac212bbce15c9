import { Room } from "./room.js";
import { FRAME, element, throttled } from "../dom.js";
import { ForecastPicture } from "../draw/forecast.js";
import { LossPlot, smooth } from "../draw/losses.js";
import { download, readFile } from "../files.js";
import { fixed, short, thousands } from "../format.js";

const QUANTILES = [0.1, 0.5, 0.9];
const SEED = 1;
const EVALUATE_EVERY = 500;
/** Some hundred steps a second: slow enough to see the forecast form. */
const PACE = { most: 4, rest: 20 };
/** Where training pauses by itself, once: as many epochs as the program takes by default. */
const EPOCHS = 50;
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
  /** @type {[number, number][]} */
  #losses = [];
  #epoch = 0;

  constructor(section, page, name) {
    super(section, page, name, "series");
    this.picture = new ForecastPicture(this.find("[data-picture=forecast]"));
    this.lossPlot = new LossPlot(this.find("[data-picture=loss]"), { log: true });
    this.results = this.repeated(() => this.#evaluate(), EVALUATE_EVERY);
    this.draw = throttled(() => this.#drawLoss(), FRAME);
    this.actions = {
      run: () => this.toggle(),
      reset: () => this.#without(),
      sunspots: async () => this.#replace(await this.#sunspots()),
      download: async () => this.made && download(await this.call("model_file"), "model.safetensors"),
    };
    this.#bindFiles();
  }

  #bindFiles() {
    for (const kind of ["csv", "model"]) {
      const input = /** @type {HTMLInputElement} */ (this.find(`[data-${kind}]`));
      input.addEventListener("change", () => {
        const file = input.files?.[0];
        input.value = "";
        if (file) this.#open(file, kind);
      });
    }
    const drop = this.find("[data-drop]");
    this.section.addEventListener("dragover", (event) => {
      event.preventDefault();
      drop.classList.add("over");
    });
    this.section.addEventListener("dragleave", () => drop.classList.remove("over"));
    this.section.addEventListener("drop", (event) => {
      event.preventDefault();
      drop.classList.remove("over");
      const file = /** @type {DragEvent} */ (event).dataTransfer?.files[0];
      if (file) this.#open(file, /\.safetensors$/i.test(file.name) ? "model" : "csv");
    });
  }

  async #open(file, kind) {
    try {
      const bytes = await readFile(file, kind === "csv" ? "table" : "model");
      if (kind === "csv") await this.#replace(await this.#table(file.name, bytes));
      else await this.#load({ name: file.name, bytes });
    } catch (error) {
      this.problem(error.message);
    }
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
    await this.remake();
  }

  #offerColumns() {
    const { numeric, time } = /** @type {any} */ (this.#data).columns;
    const targets = numeric.filter((column) => column !== time);
    this.controls.options("target", targets.length ? targets : numeric);
  }

  /** A model from the program, on the table that is open. */
  async #load(model) {
    this.#model = model;
    await this.remake();
  }

  #without() {
    this.#model = null;
    return this.remake();
  }

  async show(state) {
    if (!this.#data) {
      this.#data = await this.#sunspots();
      this.#offerColumns();
    }
    await super.show(state);
  }

  async make() {
    const { bytes, columns } = /** @type {any} */ (this.#data);
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
    if (!this.#model) return super.refused(error);
    this.#model = null;
    this.remake().then(() => this.problem(error.message));
  }

  async begun(about) {
    this.#about = about;
    this.#losses = [];
    this.#epoch = 0;
    const run = /** @type {HTMLButtonElement} */ (this.find("[data-do=run]"));
    run.disabled = this.#model !== null;
    this.#describe();
    this.draw();
    await this.#evaluate();
  }

  #describe() {
    const { rows, training, validation, test, parameters, notes = [] } = this.#about;
    const name = /** @type {any} */ (this.#data).name;
    const splits = [["training", training], ["validation", validation], ["test", test]].map(([split, size]) => `${split} ${count(size)}`);
    const model = this.#model ? `Model from ${this.#model.name}; it forecasts and is not trained here. Reset makes a new network. ` : "";
    const parts = [...(rows === undefined ? [] : [`${thousands(rows)} rows`]), ...splits];
    const weights = parameters === undefined ? "" : `. ${thousands(parameters)} parameters`;
    this.find("[data-data-name]").textContent = `${model}${name}: ${parts.join(", ")}${weights}. ${notes.map(sentence).join(" ")}`;
    this.find("[data-command]").textContent = `bptt forecast model.safetensors ${name === SUNSPOTS ? SUNSPOTS_FILE : name}`;
    this.find("[data-caption]").replaceChildren("Forecast and truth ", element("span", { class: "quiet" }, `${name}; the test split, and after it the future`));
  }

  get pace() {
    return PACE;
  }

  progress({ progress }) {
    for (const { step, loss, epoch } of progress) {
      this.#losses.push([step, loss]);
      if (epoch >= EPOCHS && this.#epoch < EPOCHS) this.#pause();
      this.#epoch = epoch;
    }
    this.results.tick();
    this.draw();
  }

  #pause() {
    this.note(`Paused after ${EPOCHS} epochs: each training window has been seen ${EPOCHS} times. Train on to see the network learn these windows by heart: the loss falls, and the test gets worse.`);
    this.stop();
  }

  async stop() {
    await super.stop();
    if (this.made) this.results.now();
  }

  async #evaluate() {
    const about = this.#about;
    const scores = await this.call("evaluate");
    const forecast = await this.call("forecast", Math.max(this.controls.number("horizon"), 1));
    if (about !== this.#about) return;
    this.picture.draw(forecast);
    this.find("[data-verdict]").replaceChildren(...verdict(scores, about.horizon));
  }

  summary() {
    return this.find("[data-verdict]").textContent;
  }

  #drawLoss() {
    this.lossPlot.draw([{ name: "training", look: "accent", losses: smooth(this.#losses) }]);
  }
}

function sentence(note) {
  return `${note[0].toUpperCase()}${note.slice(1)}${/[.!?]$/.test(note) ? "" : "."}`;
}

/** Splits come as a number of rows or in words. */
function count(size) {
  return typeof size === "number" ? thousands(size) : String(size);
}

/** Who wins on the test split, and how often the truth lay in the range. */
function verdict({ test, naive, beats, coverage }, horizon) {
  const better = Math.abs(1 - test.rmse / naive.rmse);
  const winner = element("span", { class: beats ? "good" : "bad" }, beats ? "the network wins" : "the naive forecast wins");
  const covered = coverage === null || coverage === undefined ? "" : ` ${fixed(100 * coverage, 0)} % of the true values lie in its range; 80 % should.`;
  const ahead = horizon > 1 ? `, 1 to ${horizon} rows ahead` : "";
  return [`RMSE on the test split${ahead}: network ${short(test.rmse)}, naive forecast ${short(naive.rmse)}: `, winner, ` by ${fixed(100 * better, 0)} %.${covered}`];
}
