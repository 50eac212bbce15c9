// The frame of the page: which room is shown, where it computes, and its colours.
import { Client } from "./client.js";
import { readAddress, writeAddress } from "./address.js";
import { Alarm } from "./alarm.js";
import { DeviceMenu } from "./device.js";
import { bindTheme } from "./theme.js";
import { isDeviceFailure } from "./rooms/room.js";
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
  /** The text that room 4 begins with; loaded with the page, so that nothing is requested later. */
  sonnets = fetch("data/sonnets.txt").then((response) => response.text());
  /** @type {Record<string, import("./rooms/room.js").Room>} */
  rooms = {};
  /** @type {import("./rooms/room.js").Room | null} */
  room = null;

  constructor() {
    for (const [name, Type] of Object.entries(TYPES)) {
      this.rooms[name] = new Type(document.getElementById(`room-${name}`), this, name);
    }
    this.client.addEventListener("crashed", () => this.#crashed());
    window.addEventListener("popstate", () => this.navigate());
    document.addEventListener("visibilitychange", () => this.client.call("page.hidden", document.hidden));
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
    const name = wanted in TYPES ? wanted : "line";
    this.device.follow(state.get("device"));
    state.delete("device");
    this.remember(name, state, false);
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

  /** Puts the settings of a room into the address. @param {string} name @param {Map<string, string>} state @param {boolean} lasting */
  remember(name, state, lasting) {
    document.querySelector(`[data-room=${name}]`)?.setAttribute("href", writeAddress(name, state));
    const { choice } = this.device;
    const address = writeAddress(name, choice === "auto" ? state : new Map([...state, ["device", choice]]));
    if (address === location.hash) return;
    if (lasting) history.pushState(null, "", address);
    else history.replaceState(null, "", address);
  }

  /** The reader has chosen a device. */
  deviceChosen() {
    if (this.room) this.remember(this.room.name, this.room.controls.changed, true);
  }

  /** Another device: the room that is shown begins anew on it, the others when they are shown. */
  deviceOpened() {
    for (const room of Object.values(this.rooms)) room.deviceChanged(room === this.room);
  }

  /** A failure that no input explains. @param {Error} error */
  failed(error) {
    this.room?.stop();
    if (this.device.kind === "gpu" && isDeviceFailure(error)) {
      this.device.lost();
      this.alarm.show(`The GPU has failed, and the network is lost with it (${error.message}).`, "Begin again on the CPU", () => this.device.choose("cpu"));
    } else {
      this.alarm.show(error.message);
    }
  }

  #crashed() {
    this.room?.stopped();
    this.alarm.show("The program in this page has stopped.", "Load the page again", () => location.reload());
  }
}

bindTheme(/** @type {HTMLButtonElement} */ (document.getElementById("theme")));
new Page();
