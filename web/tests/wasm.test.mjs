// The module that Rust exports, without the page's worker: its asynchronous calls, on either device.
import assert from "node:assert/strict";
import { test } from "node:test";
import { open, visit } from "./browser.mjs";

const OPTIONS = { target: "SUNACTIVITY", window: 11, horizon: 1, cell: "gru", hidden: 8, learning_rate: 0.01, seed: 1, quantiles: [0.1, 0.5, 0.9] };

/** Calls `run(module, device, options)` in a page. */
async function within(kind, run) {
  const opened = await open({ gpu: kind === "gpu" });
  const { page, done } = await visit(opened, "#/line");
  await page.evaluate(
    async ([kind, options]) => {
      const module = await import("./wasm/bptt_web.js");
      await module.default({ module_or_path: "wasm/bptt_web_bg.wasm" });
      const device = await module.open_device(kind);
      globalThis.begun = { module, device, options, csv: module.SeriesRoom.sunspots() };
    },
    [kind, OPTIONS],
  );
  const value = await page.evaluate(run);
  await done({ late: true });
  await opened.close();
  return value;
}

for (const kind of ["gpu", "cpu"]) {
  test(`a step on the ${kind} is a promise of its loss, and steps at once of two networks are those of each alone`, async () => {
    const { alone, together } = await within(kind, async () => {
      const { module, device, options, csv } = globalThis.begun;
      const room = (seed) => new module.SeriesRoom(device, csv, { ...options, seed });
      const losses = async (room) => {
        const all = [];
        for (let i = 0; i < 5; i++) all.push((await room.step(1)).loss);
        return all;
      };
      const alone = [await losses(room(1)), await losses(room(2))];
      const together = await Promise.all([losses(room(1)), losses(room(2))]);
      return { alone, together };
    });
    assert.ok(alone.flat().every(Number.isFinite), `${alone}`);
    assert.notDeepEqual(alone[0], alone[1]);
    assert.deepEqual(together, alone);
  });

  test(`the weights of a network on the ${kind} come back from its file to the bit`, async () => {
    const { before, after, size, parameters } = await within(kind, async () => {
      const { module, device, options, csv } = globalThis.begun;
      const room = new module.SeriesRoom(device, csv, options);
      await room.step(5);
      const file = await room.model_file();
      const again = await module.SeriesRoom.from_model(device, file, csv);
      const [before, after] = [await room.results(3), await again.results(3)];
      return { before, after, size: file.length, parameters: room.describe().parameters };
    });
    assert.ok(size > 4 * parameters, `${size} bytes of ${parameters} parameters`);
    assert.deepEqual(after, before);
  });

  test(`what the library refuses on the ${kind} is a rejected promise with its sentence`, async () => {
    const [message, errorKind] = await within(kind, async () => {
      const { module, device, csv } = globalThis.begun;
      return module.SeriesRoom.from_model(device, new Uint8Array(100), csv).then(() => [], (error) => [error.message, error.kind]);
    });
    assert.match(message, /^safetensors: invalid JSON in header/);
    assert.equal(errorKind, "input");
  });
}
