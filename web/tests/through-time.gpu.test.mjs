// Room 3 in a browser with WebGPU: all four networks train on SwiftShader, as natively on the CPU.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { losses, open, trainTo, visit } from "./browser.mjs";
import { assertNative } from "./native.mjs";

/** @type {Awaited<ReturnType<typeof open>>} */
let opened;
before(async () => (opened = await open({ gpu: true })));
after(() => opened.close());

const SMALL = "device=gpu&length=10&hidden=8&seed=3";

test("the GPU is SwiftShader's, in the page and in the device's name", async () => {
  const { page, done } = await visit(opened, "#/through-time?device=gpu");
  const architecture = await page.evaluate(async () => (await navigator.gpu.requestAdapter())?.info.architecture);
  assert.equal(architecture, "swiftshader");
  assert.equal(await page.locator(".lamp").getAttribute("data-kind"), "gpu");
  assert.match(await page.locator("#device-name").innerText(), /swiftshader/i);
  await done();
});

test("four networks train side by side on the GPU", async () => {
  const { page, done } = await visit(opened, `#/through-time?${SMALL}&rate=0.02`);
  await page.locator("#room-through-time [data-networks] tr").nth(3).waitFor();
  await trainTo(page, "through-time", 60);
  const found = await losses(page, "through-time");
  assert.deepEqual(found.map(({ name }) => name).sort(), ["GRU", "IRNN", "LSTM", "tanh RNN"]);
  for (const { name, first, last } of found) assert.ok(last < first, `${name}: ${last} < ${first}`);
  await done();
});

test("the first 20 losses of all four networks on the GPU are those of the native CPU path", async () => {
  const { page, done } = await visit(opened, "#/line");
  await assertNative(page, "gpu", "through-time");
  await done({ late: true });
});

test("clipping scales all gradients and flattens none", async () => {
  const { page, done } = await visit(opened, `#/through-time?${SMALL}&clip=0.01`);
  const row = page.locator("#room-through-time [data-networks] tr").first();
  await page.waitForFunction(() => document.querySelector("#room-through-time [data-networks] td:last-child")?.textContent === "0.01");
  const factor = await row.locator("td").nth(2).innerText();
  await page.locator("input[name=clip]").focus();
  await page.keyboard.press("End");
  await page.waitForFunction(() => document.querySelector("#room-through-time [data-networks] td:last-child")?.textContent === "–");
  assert.equal(await row.locator("td").nth(2).innerText(), factor);
  assert.equal(await page.locator("input[name=clip] + output").innerText(), "off");
  await done();
});

test("a slow device begins with smaller networks, and the page says so", async () => {
  const { page, done } = await visit(opened, "#/through-time?device=gpu");
  await page.locator("#room-through-time [data-note]").getByText("smaller at first").waitFor();
  assert.equal(await page.locator("#room-through-time input[name=hidden]").inputValue(), "24");
  await done();
});
