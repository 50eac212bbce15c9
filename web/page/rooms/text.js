import { Room, isDeviceFailure } from "./room.js";
import { FRAME, element, showNumbers, throttled } from "../dom.js";
import { LossPlot, smooth } from "../draw/losses.js";
import { decodeText, download, readFile } from "../files.js";
import { fixed, short, thousands } from "../format.js";

const SAMPLE = { length: 420, every: 3000 };
const VALIDATE_EVERY = 4000;
const BATCH = { fast: 32, slow: 16 };
const SEED = 1;
const KEPT_SAMPLES = 30;

/** Room 4: a network learns a text, character by character, and writes. */
export class TextRoom extends Room {
  #text = "";
  #textName = "";
  /** @type {any} */
  #about = null;
  /** @type {any} */
  #last = null;
  /** @type {[number, number][]} */
  #losses = [];
  /** @type {[number, number][]} */
  #validation = [];
  #draws = 0;

  constructor(section, page, name) {
    super(section, page, name, "text");
    this.lossPlot = new LossPlot(this.find("[data-picture=loss]"));
    this.samples = this.repeated(() => this.#write(), SAMPLE.every);
    this.validations = this.repeated(() => this.#validate(), VALIDATE_EVERY);
    this.draw = throttled(() => this.#draw(), FRAME);
    this.gentle = ["temperature"];
    this.actions = {
      run: () => this.toggle(),
      reset: () => this.remake(),
      use: () => this.#use(this.#area.value, "your text"),
      bundled: async () => this.#use(await page.sonnets, "twenty sonnets by Shakespeare"),
      sample: () => this.samples.now(),
      download: async () => this.made && download(await this.call("model_file"), "model.safetensors"),
    };
    this.find("[data-file]").addEventListener("change", (event) => this.#open(/** @type {any} */ (event.target)));
    this.find("[data-prime]").addEventListener("change", () => this.samples.soon());
  }

  /** @returns {HTMLTextAreaElement} */
  get #area() {
    return this.find("[data-text]");
  }

  adjusted() {
    this.samples.soon();
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
    this.#last = null;
    this.#losses = [];
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
    this.#take(text, name);
    if (text === "") return this.problem("The text is empty. Type or paste one, or open a file.");
    return this.remake();
  }

  async #open(input) {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    try {
      await this.#use(decodeText(await readFile(file, "text"), file.name), file.name);
    } catch (error) {
      this.problem(error.message);
    }
  }

  progress({ progress }) {
    for (const last of progress) {
      this.#last = last;
      this.#losses.push([last.step, last.loss]);
    }
    this.samples.tick();
    this.validations.tick();
    this.draw();
  }

  async #validate() {
    const { loss } = await this.call("validate");
    if (this.#last) this.#validation.push([this.#last.step, loss]);
  }

  async #write() {
    const about = this.#about;
    const prime = /** @type {HTMLInputElement} */ (this.find("[data-prime]")).value;
    const step = this.#last?.step ?? 0;
    const problem = /** @type {HTMLElement} */ (this.find("[data-prime-problem]"));
    try {
      const text = await this.call("sample", prime, SAMPLE.length, this.controls.number("temperature"), ++this.#draws);
      if (about === this.#about) this.#show(prime, text, step);
      problem.textContent = strange(prime, about.vocabulary);
    } catch (error) {
      if (isDeviceFailure(error)) throw error;
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
    return this.#last ? `Step ${this.#last.step}, loss ${short(this.#last.loss)}.` : "";
  }

  #draw() {
    const { characters, vocabulary, parameters } = this.#about;
    const blind = Math.log(vocabulary.length);
    const curves = [{ name: "training", look: "accent", losses: smooth(this.#losses) }, { name: "validation", look: "irnn", losses: this.#validation, dots: true }];
    this.lossPlot.draw(curves, [{ at: blind, label: `choosing blindly: ln ${vocabulary.length} = ${fixed(blind, 2)}` }]);
    const loss = curves[0].losses.at(-1)?.[1];
    showNumbers(this.find("[data-numbers]"), [
      ["step", thousands(this.#last?.step ?? 0)],
      ["loss", fixed(loss, 3)],
      ["perplexity", loss === undefined ? "–" : fixed(Math.exp(loss), 2)],
      ["validation", fixed(this.#validation.at(-1)?.[1], 3)],
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
