import { Room } from "./room.js";
import { FRAME, element, showNumbers, throttled } from "../dom.js";
import { LossHistory, LossPlot } from "../draw/losses.js";
import { decodeText, download, onFile, readFile } from "../files.js";
import { fixed, short, thousands } from "../format.js";

const SAMPLE = { length: 420, every: 3000 };
const VALIDATE_EVERY = 4000;
const BATCH = { fast: 32, slow: 16 };
const SEED = 1;
const KEPT_SAMPLES = 30;
const KEPT_VALIDATIONS = 400;

/** Room 4: a network learns a text, character by character, and writes. */
export class TextRoom extends Room {
  #text = "";
  #textName = "";
  /** @type {any} */
  #about = null;
  #losses = new LossHistory();
  /** @type {[number, number][]} */
  #validation = [];
  #draws = 0;

  constructor(section, page, name) {
    super(section, page, name, "text");
    this.lossPlot = new LossPlot(this.find("[data-picture=loss]"));
    this.samples = this.repeated(() => this.#write(), SAMPLE.every);
    this.validations = this.repeated(() => this.#validate(), VALIDATE_EVERY);
    this.draw = throttled(() => this.#draw(), FRAME);
    this.gentle = ["temperature", "rate"];
    this.actions = {
      run: () => this.toggle(),
      reset: () => this.reset(),
      use: () => this.#use(this.#area.value, "your text"),
      bundled: async () => this.#use(await page.sonnets, "twenty sonnets by Shakespeare"),
      sample: () => this.samples.now(),
      download: async () => download(await this.call("model_file"), "model.safetensors"),
    };
    onFile(this.find("[data-file]"), (file) => this.attempt(() => this.#open(file)));
    this.find("[data-prime]").addEventListener("change", () => this.samples.soon());
  }

  /** @returns {HTMLTextAreaElement} */
  get #area() {
    return this.find("[data-text]");
  }

  async adjusted(setting) {
    if (setting === "rate") await this.call("set_learning_rate", this.controls.number("rate"));
    else this.samples.soon();
  }

  async make() {
    if (!this.#text) this.#take(await this.page.sonnets, "twenty sonnets by Shakespeare");
    const { cell } = this.controls.settings;
    return this.call("create", this.#text, {
      cell,
      hidden: this.controls.number("hidden"),
      layers: 1,
      window: this.controls.number("window"),
      batch: this.page.device.slow ? BATCH.slow : BATCH.fast,
      learning_rate: this.controls.number("rate"),
      seed: SEED,
    });
  }

  async begun(about) {
    this.#about = about;
    this.#losses = new LossHistory();
    this.#validation = [];
    this.find("[data-earlier]").replaceChildren();
    this.draw();
    await this.samples.now();
  }

  #take(text, name) {
    this.#text = text;
    this.#textName = name;
    this.#area.value = text;
  }

  #use(text, name) {
    if (text === "") throw new Error("The text is empty. Type or paste one, or open a file.");
    this.#take(text, name);
    this.stopped();
    return this.remake();
  }

  async #open(file) {
    const { text: limit } = await this.page.limits;
    await this.#use(decodeText(await readFile(file, limit), file.name), file.name);
  }

  progress({ progress }) {
    for (const { step, loss } of progress) this.#losses.push(step, loss);
    this.samples.tick();
    this.validations.tick();
    this.draw();
  }

  async #validate() {
    const about = this.#about;
    const { step, loss } = await this.call("validate");
    if (about !== this.#about || loss === null || this.#validation.at(-1)?.[0] === step) return;
    this.#validation.push([step, loss]);
    if (this.#validation.length > KEPT_VALIDATIONS) this.#validation = this.#validation.filter((_, i) => i % 2 === 1);
    this.draw();
  }

  get #step() {
    return this.#losses.last?.[0] ?? 0;
  }

  async paused() {
    await this.validations.now();
  }

  async #write() {
    const about = this.#about;
    const prime = /** @type {HTMLInputElement} */ (this.find("[data-prime]")).value;
    const step = this.#step;
    const problem = /** @type {HTMLElement} */ (this.find("[data-prime-problem]"));
    try {
      const text = await this.call("sample", prime, SAMPLE.length, this.controls.number("temperature"), ++this.#draws);
      if (about === this.#about) this.#show(prime, text, step);
      problem.textContent = strange(prime, about.vocabulary);
    } catch (error) {
      if (error.kind !== "input") throw error;
      problem.textContent = error.message;
    }
    problem.hidden = problem.textContent === "";
  }

  #show(prime, text, step) {
    const rest = text.startsWith(prime) ? text.slice(prime.length) : text;
    this.find("[data-sample]").replaceChildren(element("span", { class: "prime" }, prime), rest);
    this.find("[data-sample-step]").textContent = `after ${thousands(step)} ${step === 1 ? "step" : "steps"}`;
    const earlier = this.find("[data-earlier]");
    const known = earlier.firstElementChild?.getAttribute("data-step");
    if (known === String(step)) return;
    const line = (prime + rest).replace(/\s+/g, " ").slice(0, 110);
    earlier.prepend(element("li", { "data-step": step }, element("b", {}, thousands(step)), line));
    if (earlier.childElementCount > KEPT_SAMPLES) earlier.lastElementChild?.remove();
  }

  summary() {
    return `Step ${this.#step}, loss ${short(this.#losses.last?.[1])}.`;
  }

  #draw() {
    const { characters, vocabulary, parameters } = this.#about;
    const uniform = Math.log(vocabulary.length);
    const curves = [{ name: "training", look: "accent", losses: this.#losses.points }, { name: "validation", look: "irnn", losses: this.#validation, dots: true }];
    this.lossPlot.draw(curves, [{ at: uniform, label: `guessing uniformly: ln ${vocabulary.length} = ${fixed(uniform, 2)}` }]);
    const loss = this.#losses.last?.[1];
    const validation = this.#validation.at(-1);
    showNumbers(this.find("[data-numbers]"), [
      ["step", thousands(this.#step)],
      ["loss", fixed(loss, 3)],
      ["perplexity", loss === undefined ? "–" : fixed(Math.exp(loss), 2)],
      ["validation", validation ? `${fixed(validation[1], 3)} at step ${thousands(validation[0])}` : "–"],
      ["parameters", thousands(parameters)],
    ]);
    this.find("[data-text-name]").textContent = `${this.#textName}, ${thousands(characters)} characters, ${vocabulary.length} different`;
  }
}

/** What the network cannot know of the beginning that it is given. @param {string} prime @param {string[]} vocabulary */
function strange(prime, vocabulary) {
  const unknown = [...new Set(prime)].filter((character) => !vocabulary.includes(character));
  if (!unknown.length) return "";
  return `The text has no ${unknown.map((character) => `“${character}”`).join(", ")}: the network reads it as an unknown character.`;
}
