import { Room } from "./room.js";
import { FRAME, element, throttled } from "../dom.js";
import { LossPlot, smooth } from "../draw/losses.js";
import { NormsPicture } from "../draw/norms.js";
import { fixed, short, thousands } from "../format.js";

const LOOKS = ["rnn", "irnn", "lstm", "gru"];
const BATCH = { fast: 32, slow: 16 };
/** The loss of always predicting 1: the variance of a sum of two numbers drawn evenly from 0 to 1. */
const BASELINE = 1 / 6;

/** Room 3: four networks on the adding problem, and the gradient that reaches each step. */
export class ThroughTimeRoom extends Room {
  /** @type {{name: string, look: string, losses: [number, number][], last: any, flow: any}[]} */
  #networks = [];

  constructor(section, page, name) {
    super(section, page, name, "time");
    this.norms = new NormsPicture(this.find("[data-picture=norms]"));
    this.lossPlot = new LossPlot(this.find("[data-picture=loss]"), { log: true });
    this.flows = this.repeated(() => this.#flows(), FRAME);
    this.draw = throttled(() => this.#draw(), FRAME);
    this.gentle = ["clip", "rate"];
    this.actions = { run: () => this.toggle(), reset: () => this.remake() };
  }

  async adjusted(setting) {
    if (!this.made) return;
    if (setting === "clip") await this.call("set_clip", this.#clip());
    else await this.call("set_learning_rate", this.controls.number("rate"));
    this.flows.soon();
  }

  #clip() {
    const { clip } = this.controls.settings;
    return clip === "off" ? null : Number(clip);
  }

  async make() {
    await this.call("create", {
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
    this.#networks = names.map((name, i) => ({ name, look: LOOKS[i], losses: [], last: null, flow: null }));
    await this.#flows();
  }

  async #flows() {
    const networks = this.#networks;
    for (let i = 0; i < networks.length; i++) networks[i].flow = await this.call("flow", i);
    this.draw();
  }

  progress({ progress }) {
    for (const last of progress) {
      const network = this.#networks[last.network];
      if (!network) return;
      network.last = last;
      network.losses.push([last.step, last.loss]);
    }
    this.flows.tick();
    this.draw();
  }

  summary() {
    return this.#networks.map(({ name, last }) => `${name}: loss ${short(last?.loss)}`).join(", ");
  }

  #draw() {
    const known = this.#networks.filter(({ flow }) => flow);
    this.norms.draw(known.map(({ name, look, flow }) => ({ name, look, ...flow })));
    const curves = this.#networks.map(({ name, look, losses }) => ({ name, look, losses: smooth(losses) }));
    this.lossPlot.draw(curves, [{ at: BASELINE, label: "always predicting 1" }]);
    this.find("[data-networks]").replaceChildren(...this.#networks.map(line));
    this.find("[data-verdict]").textContent = verdict(known);
  }
}

function line({ name, look, last, losses, flow }) {
  const cell = (content) => element("td", {}, content);
  const norm = flow?.gradient_norm;
  const clipped = flow && flow.clip_factor < 1 ? `${short(norm * flow.clip_factor)}` : "–";
  const loss = losses.length ? short(smooth(losses).at(-1)?.[1]) : "–";
  return element("tr", {}, element("th", { scope: "row", class: look }, name), cell(last ? thousands(last.step) : "0"), cell(loss),
    cell(fixed(flow?.factor, 3)), cell(radii(flow?.radii ?? [])), cell(short(norm)), cell(clipped));
}

/** One number, or one for each gate. @param {[string, number][]} gates */
function radii(gates) {
  if (gates.length === 1) return fixed(gates[0][1], 2);
  return gates.map(([gate, radius]) => `${gate} ${fixed(radius, 2)}`).join("  ");
}

/** How much of the gradient of the last step reaches the first, for the least and the most. */
function verdict(networks) {
  const shares = networks.flatMap(({ name, flow }) => {
    const share = flow.norms[0] / flow.norms[flow.norms.length - 1];
    return Number.isFinite(share) ? [{ name, share }] : [];
  });
  if (shares.length < 2) return "";
  shares.sort((a, b) => a.share - b.share);
  const [least, most] = [shares[0], shares[shares.length - 1]];
  const length = networks[0].flow.norms.length;
  return `From step ${length} back to step 1 the gradient becomes ${times(least.share)} in the ${least.name}, and ${times(most.share)} in the ${most.name}.`;
}

function times(share) {
  return share === 0 ? "0" : `${short(share)} times as long`;
}
