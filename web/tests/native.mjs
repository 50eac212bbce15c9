// The losses that the same rooms have natively on the CPU: `cargo run --example losses` in web/ prints them as JSON, and
// the variable BPTT_LOSSES names the file.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";

const CLOSE = 1e-4;

async function native() {
  const file = process.env.BPTT_LOSSES;
  if (!file) throw new Error("BPTT_LOSSES names no file; scripts/test-web sets it");
  return JSON.parse(await readFile(file, "utf8"));
}

/** What each room is made of, and its losses by network. @type {Record<string, (printed: any) => {room: string, given: any[], losses: number[][]}>} */
const ROOMS = {
  "through-time": ({ through_time: { options, networks } }) => ({ room: "time", given: [options], losses: networks.map(({ losses }) => losses) }),
  text: ({ text: { text, options, losses } }) => ({ room: "text", given: [text, options], losses: [losses] }),
  series: ({ series: { options, losses } }) => ({ room: "series", given: [options], losses: [losses] }),
};

/**
 * Takes the steps of a room in a worker of its own, and compares each loss.
 * @param {import("playwright-core").Page} page @param {"gpu" | "cpu"} device @param {string} name Of the room
 */
export async function assertNative(page, device, name) {
  const { room, given, losses } = ROOMS[name](await native());
  const steps = losses[0].length;
  assert.ok(steps >= 20, `${steps} steps`);
  const got = await page.evaluate(train, { device, room, given, networks: losses.length, steps });
  losses.forEach((of, network) => {
    of.forEach((loss, i) => {
      const difference = Math.abs(got[network][i] - loss);
      assert.ok(difference <= CLOSE, `network ${network}, step ${i + 1}: ${got[network][i]}, natively ${loss}`);
    });
  });
}

/** In the page. */
async function train({ device, room, given, networks, steps }) {
  const { Client } = await import("./client.js");
  const client = new Client();
  await client.call("page.open", device);
  const data = room === "series" ? [new TextEncoder().encode(await client.call("series.sunspots"))] : [];
  await client.call(`${room}.create`, ...data, ...given);
  const losses = [];
  for (let network = 0; network < networks; network++) {
    losses.push([]);
    for (let i = 0; i < steps; i++) {
      const report = await client.call(`${room}.step`, ...(networks > 1 ? [network, 1] : [1]));
      losses[network].push(report.loss);
    }
  }
  client.close();
  return losses;
}
