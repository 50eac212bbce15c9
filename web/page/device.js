const CHOICES = ["auto", "gpu", "cpu"];

/** The choice of a device, in the head of the page: its name, and why it is that one. */
export class DeviceMenu {
  #page;
  #menu = /** @type {HTMLDetailsElement} */ (document.getElementById("device"));
  #lamp = /** @type {HTMLElement} */ (document.querySelector("#device .lamp"));
  /** @type {import("./client.js").Device | null} */
  #device = null;
  /** @type {Promise<void>} Settles when the device that was chosen last is open. */
  ready = Promise.resolve();

  /** @param {any} page */
  constructor(page) {
    this.#page = page;
    this.#menu.addEventListener("change", (event) => {
      this.choose(/** @type {any} */ (event.target).value);
      page.deviceChosen();
    });
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

  get kind() {
    return this.#device?.kind ?? null;
  }

  /** Where smaller networks are the better beginning: the CPU, and a GPU that is one in name only. */
  get slow() {
    return this.#device !== null && (this.#device.kind === "cpu" || isSoftware(this.#device));
  }

  /** In words, for the note on smaller defaults. */
  get words() {
    return this.#device?.kind === "cpu" ? "the CPU" : "a GPU in software";
  }

  /** @param {string} choice */
  open(choice = "auto") {
    this.choice = choice;
    this.#show("Loading", "The program is loading.", "");
    this.ready = this.#open(choice);
    return this.ready;
  }

  async #open(choice) {
    try {
      this.#device = await this.#page.client.call("device.open", choice);
    } catch (error) {
      this.#show("No device", error.message, "lost");
      this.#page.alarm.show(error.message, choice === "cpu" ? undefined : "Use the CPU", () => this.choose("cpu"));
      return;
    }
    const { kind, name, note, version } = /** @type {import("./client.js").Device} */ (this.#device);
    this.#show(kind === "gpu" ? name : "CPU", note || `Networks are computed on ${name}.`, kind);
    const line = document.getElementById("version");
    if (line) line.textContent = version;
    this.#page.alarm.hide();
    this.#page.deviceOpened();
  }

  /** @param {string} wanted */
  choose(wanted) {
    const choice = CHOICES.includes(wanted) ? wanted : "auto";
    for (const radio of /** @type {any} */ (this.#menu.querySelectorAll("input"))) radio.checked = radio.value === choice;
    return this.open(choice);
  }

  /** As in an address; what is no choice leaves all as it is. @param {string | undefined} choice */
  follow(choice) {
    if (choice !== undefined && CHOICES.includes(choice) && choice !== this.choice) this.choose(choice);
  }

  close() {
    this.#menu.open = false;
  }

  lost() {
    this.#show("GPU lost", "The GPU has failed, in its driver or in the browser. Choose it again, or the CPU.", "lost");
  }

  #show(name, note, kind) {
    this.#lamp.dataset.kind = kind;
    const label = document.getElementById("device-name");
    const line = document.getElementById("device-note");
    if (label) label.textContent = name;
    if (line) line.textContent = note;
  }
}

/** @param {import("./client.js").Device} device */
function isSoftware(device) {
  return device.software === true;
}
