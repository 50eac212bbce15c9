import { Room } from "./room.js";
import { FRAME, element, throttled } from "../dom.js";
import { LossHistory, LossPlot } from "../draw/losses.js";
import { NormsPicture } from "../draw/norms.js";
import { fixed, short, thousands } from "../format.js";

const LOOKS = ["rnn", "irnn", "lstm", "gru"];
const BATCH = { fast: 32, slow: 16 };
/** The loss of always predicting 1: the variance of a sum of two numbers drawn evenly from 0 to 1. */
const BASELINE = 1 / 6;

/** Room 3: four networks on the adding problem, and the gradient that reaches each step. */
export class ThroughTimeRoom extends Room {
  /** @type {{name: string, look: string, losses: LossHistory, step: number, gradient: any, diverged: boolean}[]} */
  #networks = [];

  constructor(section, page, name) {
    super(section, page, name, "time");
    this.norms = new NormsPicture(this.find("[data-picture=norms]"));
    this.lossPlot = new LossPlot(this.find("[data-picture=loss]"), { log: true });
    this.gradients = this.repeated(() => this.#gradients(), FRAME);
    this.draw = throttled(() => this.#draw(), FRAME);
    this.gentle = ["clip", "rate"];
    this.actions = { run: () => this.toggle(), reset: () => this.reset() };
  }

  async adjusted(setting) {
    if (setting === "clip") await this.call("set_clip", this.#clip());
    else await this.call("set_learning_rate", this.controls.number("rate"));
    this.gradients.soon();
  }

  #clip() {
    const { clip } = this.controls.settings;
    return clip === "off" ? null : Number(clip);
  }

  async make() {
    return this.call("create", {
      length: this.controls.number("length"),
      hidden: this.controls.number("hidden"),
      batch: this.page.device.slow ? BATCH.slow : BATCH.fast,
      learning_rate: this.controls.number("rate"),
      clip: this.#clip(),
      seed: this.controls.number("seed"),
    });
  }

  async begun() {
    const names = await this.call("names");
    this.#networks = names.map((name, i) => ({ name, look: LOOKS[i], losses: new LossHistory(), step: 0, gradient: null, diverged: false }));
    await this.#gradients();
  }

  async #gradients() {
    const networks = this.#networks;
    for (let i = 0; i < networks.length; i++) networks[i].gradient = await this.call("gradient", i);
    this.draw();
  }

  progress({ progress }) {
    for (const { network: index, step, loss } of progress) {
      const network = this.#networks[index];
      if (!network) return;
      network.step = step;
      network.losses.push(step, loss);
      // It was tried again, with smaller steps.
      network.diverged = false;
    }
    this.gradients.tick();
    this.draw();
  }

  diverged({ network }) {
    this.#networks[network].diverged = true;
    const names = this.#networks.filter(({ diverged }) => diverged).map(({ name }) => name);
    this.problem(`${names.join(", ")} diverged: the loss or its gradient is not finite any more. Lower the learning rate or “Clip at norm”, then reset.`);
    this.draw();
  }

  async paused() {
    await this.gradients.now();
  }

  summary() {
    return this.#networks.map(({ name, losses }) => `${name}: loss ${short(losses.last?.[1])}`).join(", ");
  }

  #draw() {
    const known = this.#networks.filter(({ gradient }) => gradient);
    this.norms.draw(known.map(({ name, look, gradient }) => ({ name, look, ...gradient })));
    const curves = this.#networks.map(({ name, look, losses }) => ({ name, look, losses: losses.points }));
    this.lossPlot.draw(curves, [{ at: BASELINE, label: "always predicting 1" }]);
    this.find("[data-networks]").replaceChildren(...this.#networks.map(line));
    this.find("[data-verdict]").textContent = verdict(known);
  }
}

function line({ name, look, losses, step, gradient, diverged }) {
  const cell = (content) => element("td", {}, content);
  const norm = gradient?.gradient_norm;
  const clipped = norm && gradient.clip_factor < 1 ? short(norm * gradient.clip_factor) : "–";
  return element("tr", {}, element("th", { scope: "row", class: look }, name), cell(thousands(step)), cell(diverged ? "diverged" : short(losses.last?.[1])),
    cell(fixed(gradient?.factor, 3)), cell(radii(gradient?.radii ?? [])), cell(short(norm)), cell(clipped));
}

/** One number, or one for each gate. @param {[string, number][]} gates */
function radii(gates) {
  if (gates.length === 1) return fixed(gates[0][1], 2);
  return gates.map(([gate, radius]) => `${gate} ${fixed(radius, 2)}`).join("  ");
}

/** How much of the gradient of the last step reaches the first, for the least and the most. */
export function verdict(networks) {
  const shares = networks.flatMap(({ name, gradient: { norms } }) => {
    // JSON has no infinity.
    const [first, last] = [norms[0] ?? Infinity, norms[norms.length - 1]];
    return last ? [{ name, share: first / last }] : [];
  });
  if (shares.length < 2) return "";
  shares.sort((a, b) => a.share - b.share);
  const [least, most] = [shares[0], shares[shares.length - 1]];
  const length = networks[0].gradient.norms.length;
  return `From step ${length} back to step 1 the gradient becomes ${times(least.share)} in the ${least.name}, and ${times(most.share)} in the ${most.name}.`;
}

function times(share) {
  if (share === Infinity) return "too long for any number";
  return share === 0 ? "0" : `${short(share)} times as long`;
}
