// The frame of the page: which room is shown, where it computes, and its colours.
import { Client } from "./client.js";
import { AddressBar, readAddress } from "./address.js";
import { Alarm } from "./alarm.js";
import { DeviceMenu } from "./device.js";
import { bindTheme } from "./theme.js";
import { LineRoom } from "./rooms/line.js";
import { SeriesRoom } from "./rooms/series.js";
import { TextRoom } from "./rooms/text.js";
import { ThreeStepsRoom } from "./rooms/three-steps.js";
import { ThroughTimeRoom } from "./rooms/through-time.js";

const TYPES = {
  line: LineRoom,
  "three-steps": ThreeStepsRoom,
  "through-time": ThroughTimeRoom,
  text: TextRoom,
  series: SeriesRoom,
};

/** What the rooms share. */
class Page {
  client = new Client();
  alarm = new Alarm(/** @type {HTMLElement} */ (document.getElementById("alarm")));
  device = new DeviceMenu(this);
  address = new AddressBar(this.device);
  /** The text that room 4 begins with; loaded with the page, so that nothing is requested later. */
  sonnets = sonnets();
  /** The most bytes of each kind of file. @type {Promise<Record<"text" | "table" | "model", number>>} */
  limits = this.client.call("page.limits");
  /** @type {Record<string, import("./rooms/room.js").Room>} */
  rooms = {};
  /** @type {import("./rooms/room.js").Room | null} */
  room = null;

  constructor() {
    // Their failures are told where they are needed.
    for (const promise of [this.sonnets, this.limits]) promise.catch(() => {});
    for (const [name, Type] of Object.entries(TYPES)) {
      this.rooms[name] = new Type(document.getElementById(`room-${name}`), this, name);
    }
    this.client.addEventListener("crashed", ({ detail }) => this.#crashed(detail));
    window.addEventListener("popstate", () => this.navigate());
    document.addEventListener("visibilitychange", () => this.client.call("page.hidden", document.hidden).catch(() => {}));
    document.querySelector(".skip")?.addEventListener("click", (event) => {
      // The address is that of a room.
      event.preventDefault();
      document.getElementById("main")?.focus();
    });
    // A file that misses its place must not replace the page.
    for (const event of ["dragover", "drop"]) document.addEventListener(event, (event) => event.preventDefault());
    const { state } = readAddress(location.hash);
    this.device.choose(state.get("device") ?? "auto");
    this.navigate();
  }

  /** Says something to a screen reader, once. @param {string} text */
  announce(text) {
    /** @type {HTMLElement} */ (document.getElementById("live")).textContent = text;
  }

  /** Shows the room that the address names, with the settings that it states. */
  navigate() {
    const { room: wanted, state } = readAddress(location.hash);
    const name = Object.hasOwn(TYPES, wanted) ? wanted : "line";
    this.device.follow(state.get("device") ?? "auto");
    state.delete("device");
    this.address.write(name, state);
    if (this.room !== this.rooms[name]) this.#enter(name);
    this.rooms[name].show(state);
  }

  #enter(name) {
    const first = this.room === null;
    this.room?.hide();
    this.room = this.rooms[name];
    for (const [other, room] of Object.entries(this.rooms)) room.section.hidden = other !== name;
    for (const link of document.querySelectorAll("[data-room]")) {
      link.toggleAttribute("aria-current", false);
    }
    const link = document.querySelector(`[data-room=${name}]`);
    link?.setAttribute("aria-current", "page");
    link?.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.device.close();
    const title = this.room.title;
    document.title = `${title} – Backpropagation through time`;
    if (first) return;
    document.getElementById("main")?.focus({ preventScroll: true });
    window.scrollTo(0, 0);
    this.announce(title);
  }

  /** The reader has chosen a device. */
  deviceChosen() {
    if (this.room) this.address.write(this.room.name, this.room.controls.changed, "push");
  }

  /** Another device: the room that is shown begins anew on it, the others when they are shown. */
  deviceOpened() {
    for (const room of Object.values(this.rooms)) room.deviceChanged(room === this.room);
  }

  /** Another device could not be opened. */
  deviceKept() {
    if (!this.room) return;
    this.address.write(this.room.name, this.room.controls.changed);
    this.room.deviceKept();
  }

  /** The device has failed: no room on it has a network any more. @param {Error} error */
  deviceFailed(error) {
    for (const room of Object.values(this.rooms)) if (room.needsDevice) room.unmake();
    this.device.lost(error.message);
  }

  #crashed({ message }) {
    for (const room of Object.values(this.rooms)) room.unmake();
    this.alarm.end(`The program in this page has stopped: ${message}.`, "Load the page again", () => location.reload());
  }
}

async function sonnets() {
  const response = await fetch("data/sonnets.txt");
  if (!response.ok) throw new Error(`The sonnets could not be loaded (${response.status}). Use a text of your own.`);
  return response.text();
}

bindTheme(/** @type {HTMLButtonElement} */ (document.getElementById("theme")));
new Page();
