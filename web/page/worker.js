// The worker that holds the crate: it opens the device, makes rooms, and trains them in short turns. The page sends
// {id, call, arguments}; the answer is {id, value} or {id, error}. Events without an id tell of progress.
import init, * as bptt from "./wasm/bptt_web.js";
import { describeAdapter } from "./worker/adapter.js";
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
const lock = new Lock();
const loop = new Loop(lock, post);
/** @type {Record<string, any>} */
const rooms = {};
/** @type {any} */
let device = null;

/** @param {object} message */
function post(message) {
  self.postMessage(message);
}

/** Opens a device and drops all rooms that lived on the one before. */
async function open(choice) {
  loop.stop();
  return lock.run(async () => {
    for (const name of Object.keys(rooms)) {
      if (ROOMS[name].device) release(name);
    }
    device?.free();
    device = null;
    device = await bptt.open_device(choice);
    return { ...(await describeDevice()), version: bptt.version() };
  });
}

async function describeDevice() {
  const described = device.describe();
  if (described.kind === "cpu") return described;
  const { name, software } = await describeAdapter();
  return { ...described, name: name || described.name, software: software || described.software === true };
}

function release(name) {
  rooms[name]?.free();
  delete rooms[name];
}

/** Pipelines are compiled one a turn, so that messages come through in between. */
async function prepare(name, room) {
  if (!room.prepare) return;
  for (;;) {
    const { done, total } = await room.prepare();
    post({ event: "prepare", room: name, done, total });
    if (done >= total) return;
    await loop.turn();
  }
}

/** Makes a room from `construct`, in place of the one before. */
function make(name, construct) {
  loop.stop();
  return lock.run(async () => {
    release(name);
    const room = await construct();
    rooms[name] = room;
    await prepare(name, room);
    return room.describe?.() ?? null;
  });
}

/** What a call on a room may name besides the crate's own methods. */
const verbs = {
  create: (name, ...options) => {
    const { type, device: needed } = ROOMS[name];
    return make(name, () => (needed ? new type(device, ...options) : new type(...options)));
  },
  load: (name, ...files) => make(name, () => ROOMS[name].type.from_model(device, ...files)),
  start: (name, pace) => loop.start(name, rooms[name], pace),
  stop: () => loop.stop(),
};

/** @param {string} path Such as `device.open`, `time.step` or `series.columns` @param {any[]} given */
async function answer(path, given) {
  await ready;
  const [name, method] = path.split(".");
  if (path === "device.open") return open(given[0]);
  if (path === "page.hidden") return loop.pause(given[0]);
  if (method in verbs) return verbs[method](name, ...given);
  return lock.run(() => {
    // What is not a method of the room is one of its class, as `series.columns`.
    const target = typeof rooms[name]?.[method] === "function" ? rooms[name] : ROOMS[name].type;
    if (typeof target[method] !== "function") throw new Error(`There is no network in the room ${name}.`);
    return target[method](...given);
  });
}

self.onmessage = async ({ data: { id, call, arguments: given } }) => {
  try {
    post({ id, value: await answer(call, given) });
  } catch (/** @type {any} */ error) {
    post({ id, error: { message: error?.message ?? String(error) } });
  }
};
