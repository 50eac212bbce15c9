import { element } from "./dom.js";

/** The line at the top of the page for what concerns all of it. */
export class Alarm {
  #host;
  /** Whether only loading the page again helps: nothing else is shown then. */
  #final = false;

  /** @param {HTMLElement} host */
  constructor(host) {
    this.#host = host;
  }

  /** @param {string} message @param {string} [offer] What a button offers @param {() => void} [accept] */
  show(message, offer, accept) {
    if (this.#final) return;
    const button = element("button", { type: "button" }, offer ?? "Close");
    button.addEventListener("click", () => {
      this.hide();
      accept?.();
    });
    this.#host.replaceChildren(message, button);
    this.#host.hidden = false;
  }

  /** The last message. @param {string} message @param {string} offer @param {() => void} accept */
  end(message, offer, accept) {
    this.show(message, offer, accept);
    this.#final = true;
  }

  hide() {
    if (!this.#final) this.#host.hidden = true;
  }
}
