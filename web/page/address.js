/** The state of the page in its address: `#/ROOM?name=value&…`. */

/** Milliseconds that a slider must rest before the address follows: browsers limit how often it may change. */
const REST = 400;

/** @param {string} hash @returns {{room: string, state: Map<string, string>}} */
export function readAddress(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  return { room: path, state: new Map(new URLSearchParams(query)) };
}

/** @param {string} room @param {Map<string, string>} state Values that are not the defaults */
function writeAddress(room, state) {
  const query = new URLSearchParams([...state]).toString();
  return `#/${room}${query ? `?${query}` : ""}`;
}

/** The address of the page, and the links to its rooms, which keep their settings and the device. */
export class AddressBar {
  #device;
  /** @type {Map<string, Map<string, string>>} The settings of each room */
  #states = new Map();
  #timer = 0;

  /** @param {{choice: string}} device */
  constructor(device) {
    this.#device = device;
  }

  /**
   * Puts the settings of the room that is shown into the address.
   * @param {string} room @param {Map<string, string>} state @param {"push" | "replace" | "soon"} how "push" is a step of
   * the history
   */
  write(room, state, how = "replace") {
    window.clearTimeout(this.#timer);
    this.#states.set(room, state);
    for (const link of /** @type {any} */ (document.querySelectorAll("[data-room]"))) link.setAttribute("href", this.#address(link.dataset.room));
    if (how === "soon") this.#timer = window.setTimeout(() => this.write(room, state), REST);
    else this.#set(this.#address(room), how);
  }

  #address(room) {
    const { choice } = this.#device;
    const state = this.#states.get(room) ?? new Map();
    return writeAddress(room, choice === "auto" ? state : new Map([...state, ["device", choice]]));
  }

  #set(address, how) {
    if (address === location.hash) return;
    if (how === "push") history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  }
}
