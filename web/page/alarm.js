import { element } from "./dom.js";

/** The line at the top of the page for what concerns all of it. */
export class Alarm {
  #host;

  /** @param {HTMLElement} host */
  constructor(host) {
    this.#host = host;
  }

  /** @param {string} message @param {string} [offer] What a button offers @param {() => void} [accept] */
  show(message, offer, accept) {
    this.#host.replaceChildren(message);
    this.#host.hidden = false;
    const button = element("button", { type: "button" }, offer ?? "Close");
    button.addEventListener("click", () => {
      this.hide();
      accept?.();
    });
    this.#host.append(button);
  }

  hide() {
    this.#host.hidden = true;
  }
}
