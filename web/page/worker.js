// The worker that holds the crate: it opens the device, makes rooms, and trains them in short turns. The page sends
// {id, call, arguments}; the answer is {id, value} or {id, error}. Events without an id tell of progress.
import init, * as bptt from "./wasm/bptt_web.js";
import { describeAdapter } from "./worker/adapter.js";
import { toMessage } from "./worker/errors.js";
import { Loop } from "./worker/loop.js";
import { Lock } from "./worker/lock.js";

/** @type {Record<string, {type: any, device: boolean}>} Room names of the page, and their classes in the crate. */
const ROOMS = {
  line: { type: bptt.Line, device: false },
  steps: { type: bptt.ThreeSteps, device: false },
  time: { type: bptt.ThroughTime, device: true },
  text: { type: bptt.TextRoom, device: true },
  series: { type: bptt.SeriesRoom, device: true },
};

const ready = init({ module_or_path: new URL("wasm/bptt_web_bg.wasm", import.meta.url) });
// Each call tells of its failure.
ready.catch(() => {});
const lock = new Lock();
const loop = new Loop(lock, post);
/** @type {Record<string, any>} */
const rooms = {};
/** @type {Record<string, object>} Replaced when a room is to be another one: slow work for the one before is given up. */
const wanted = {};
/** @type {any} */
let device = null;

/** @param {object} message */
function post(message) {
  self.postMessage(message);
}

/** Opens a device and drops all rooms that lived on the one before; without the new one, all stays as it is. */
async function open(choice) {
  const onDevice = Object.keys(ROOMS).filter((name) => ROOMS[name].device);
  // What is being made would be on the device before.
  for (const name of onDevice) wanted[name] = {};
  return lock.run(async () => {
    const opened = await bptt.open_device(choice);
    loop.stop();
    onDevice.forEach(release);
    device?.free();
    device = opened;
    return { ...(await describeDevice()), version: bptt.version() };
  });
}

async function describeDevice() {
  const described = device.describe();
  if (described.kind === "cpu") return described;
  const { name, software } = await describeAdapter();
  return { ...described, name: name || described.name, software: software || described.software };
}

function release(name) {
  rooms[name]?.free();
  delete rooms[name];
}

/** Does parts of slow work until all are done, with messages in between. Says whether the room is still wanted. @param {() => Promise<{done: number, total: number}>} part */
async function inParts(name, part) {
  const token = wanted[name];
  for (;;) {
    const { done, total } = await part();
    if (done >= total) return true;
    await loop.turn();
    if (wanted[name] !== token) return false;
  }
}

/** Makes a room from `construct`, in place of the one before; `made` is false if another one was asked for since. */
function make(name, construct) {
  loop.stop();
  const token = (wanted[name] = {});
  return lock.run(async () => {
    if (wanted[name] !== token) return { made: false };
    release(name);
    const room = await construct();
    rooms[name] = room;
    const prepare = async () => {
      const progress = await room.prepare();
      post({ event: "prepare", room: name, ...progress });
      return progress;
    };
    const made = !room.prepare || (await inParts(name, prepare));
    return { made, about: made ? (room.describe?.() ?? null) : null };
  });
}

/** What a call on a room may name besides the crate's own methods. */
const verbs = {
  create: (name, ...options) => {
    const { type, device: needed } = ROOMS[name];
    return make(name, () => (needed ? new type(device, ...options) : new type(...options)));
  },
  load: (name, ...files) => make(name, () => ROOMS[name].type.from_model(device, ...files)),
  /** Null if the room was not wanted any more. */
  results: (name, rows) => lock.run(async () => ((await inParts(name, () => rooms[name].predict())) ? rooms[name].results(rows) : null)),
  start: (name, pace) => loop.start(name, rooms[name], pace),
  stop: () => loop.stop(),
};

/** Calls on the page as a whole. */
const pageVerbs = {
  open,
  hidden: (hidden) => loop.pause(hidden),
  limits: () => bptt.file_limits(),
};

/** @param {string} path Such as `page.open`, `time.step` or `series.columns` @param {any[]} given */
async function answer(path, given) {
  const [name, method] = path.split(".");
  if (name === "page") return pageVerbs[method](...given);
  if (Object.hasOwn(verbs, method)) return verbs[method](name, ...given);
  return lock.run(() => {
    // What is not a method of the room is one of its class, as `series.columns`.
    const target = typeof rooms[name]?.[method] === "function" ? rooms[name] : ROOMS[name].type;
    if (typeof target[method] !== "function") throw new Error(`There is no network in the room ${name}.`);
    return target[method](...given);
  });
}

self.onmessage = async ({ data: { id, call, arguments: given } }) => {
  try {
    await ready;
  } catch (error) {
    return post({ id, error: { ...toMessage(error), kind: "crashed" } });
  }
  try {
    post({ id, value: await answer(call, given) });
  } catch (error) {
    post({ id, error: toMessage(error) });
  }
};
