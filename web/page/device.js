const CHOICES = ["auto", "gpu", "cpu"];

/** The choice of a device, in the head of the page: its name, and why it is that one. */
export class DeviceMenu {
  #page;
  #menu = /** @type {HTMLDetailsElement} */ (document.getElementById("device"));
  #lamp = /** @type {HTMLElement} */ (document.querySelector("#device .lamp"));
  /** @type {import("./client.js").Device | null} The device that is open */
  #device = null;
  /** What it was chosen as. */
  #opened = "auto";
  #turn = 0;
  /** @type {Promise<void>} Settles when the device that was chosen last is open, or cannot be opened. */
  ready = Promise.resolve();

  /** @param {any} page */
  constructor(page) {
    this.#page = page;
    this.#menu.addEventListener("change", (event) => this.#chosen(/** @type {any} */ (event.target).value));
    this.#menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.#menu.open = false;
      this.#menu.querySelector("summary")?.focus();
    });
    document.addEventListener("click", (event) => {
      if (!this.#menu.contains(/** @type {Node} */ (event.target))) this.#menu.open = false;
    });
  }

  /** What the reader chose, which goes into the address. */
  choice = "auto";

  /** Whether networks can be made. */
  get available() {
    return this.#device !== null;
  }

  /** Where smaller networks are the better beginning: the CPU, and a GPU that is one in name only. */
  get slow() {
    return this.#device?.kind === "cpu" || this.#device?.software === true;
  }

  /** In words, for the note on smaller defaults. */
  get words() {
    return this.#device?.kind === "cpu" ? "the CPU" : "a software GPU driver";
  }

  /** By the reader. @param {string} choice */
  #chosen(choice) {
    this.choose(choice);
    this.#page.deviceChosen();
  }

  /** @param {string} wanted What is no choice is "auto" @returns {Promise<void>} */
  choose(wanted) {
    this.#choose(CHOICES.includes(wanted) ? wanted : "auto");
    this.#show("Loading", "The device is being opened.", "");
    return (this.ready = this.#open(this.choice));
  }

  /** As in an address. @param {string} choice */
  follow(choice) {
    if (choice !== this.choice && CHOICES.includes(choice)) this.choose(choice);
  }

  #choose(choice) {
    this.choice = choice;
    for (const radio of /** @type {any} */ (this.#menu.querySelectorAll("input"))) radio.checked = radio.value === choice;
  }

  async #open(choice) {
    const turn = ++this.#turn;
    try {
      const device = await this.#page.client.call("page.open", choice);
      [this.#device, this.#opened] = [device, choice];
    } catch (error) {
      if (turn === this.#turn) this.#refused(choice, /** @type {import("./client.js").CallError} */ (error));
      return;
    }
    if (turn !== this.#turn) return;
    this.#showOpen();
    this.#page.alarm.hide();
    this.#page.deviceOpened();
  }

  /** The device that was open stays so, if there was one. */
  #refused(choice, { message, kind }) {
    if (kind === "crashed") return this.#show("Not loaded", "The program in this page has stopped.", "lost");
    if (this.#device) {
      this.#choose(this.#opened);
      this.#showOpen();
      this.#page.deviceKept();
      this.#page.alarm.show(`${capital(message)}. Networks are still computed on ${this.#device.name}.`);
      return;
    }
    this.#show("No device", message, "lost");
    this.#page.alarm.show(`${capital(message)}.`, choice === "cpu" ? undefined : "Use the CPU", () => this.#chosen("cpu"));
  }

  #showOpen() {
    const { kind, name, note, version } = /** @type {import("./client.js").Device} */ (this.#device);
    this.#show(kind === "gpu" ? name : "CPU", note || `Networks are computed on ${name}.`, kind);
    const line = document.getElementById("version");
    if (line) line.textContent = version;
  }

  close() {
    this.#menu.open = false;
  }

  /** The device has failed, with all that was on it. @param {string} message */
  lost(message) {
    if (!this.#device) return;
    this.#device = null;
    // So that it can be chosen again.
    for (const radio of /** @type {any} */ (this.#menu.querySelectorAll("input"))) radio.checked = false;
    this.#show("GPU lost", "The GPU has failed, in its driver or in the browser. Choose it again, or the CPU.", "lost");
    this.#page.alarm.show(`The GPU has failed, and the network is lost with it (${message}).`, "Begin again on the CPU", () => this.#chosen("cpu"));
  }

  #show(name, note, kind) {
    this.#lamp.dataset.kind = kind;
    const label = document.getElementById("device-name");
    const line = document.getElementById("device-note");
    if (label) label.textContent = name;
    if (line) line.textContent = note;
  }
}

function capital(sentence) {
  return sentence[0].toUpperCase() + sentence.slice(1);
}
