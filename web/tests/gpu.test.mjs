// Rooms 4 and 5 in a browser with WebGPU, and a GPU that goes away or was never there.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { losses, open, trainTo, visit } from "./browser.mjs";
import { assertNative } from "./native.mjs";

/** @type {Awaited<ReturnType<typeof open>>} */
let opened;
before(async () => (opened = await open({ gpu: true })));
after(() => opened.close());

test("a text is learned on the GPU", async () => {
  const { page, done } = await visit(opened, "#/text?device=gpu&hidden=16&window=8&rate=0.05");
  await trainTo(page, "text", 25);
  const [{ first, last }] = await losses(page, "text");
  assert.ok(last < first - 0.3, `${last} < ${first}`);
  await done();
});

test("a series is learned on the GPU", async () => {
  const { page, done } = await visit(opened, "#/series?device=gpu&hidden=8&window=11&rate=0.02");
  await trainTo(page, "series", 40);
  const [{ first, last }] = await losses(page, "series");
  assert.ok(last < first, `${last} < ${first}`);
  await done();
});

for (const room of ["text", "series"]) {
  test(`the first 20 losses of the ${room} on the GPU are those of the native CPU path`, async () => {
    const { page, done } = await visit(opened, "#/line");
    await assertNative(page, "gpu", room);
    await done({ late: true });
  });
}

test("a program of the GPU is compiled with progress that is shown", async () => {
  const { page, done } = await visit(opened, "#/series?device=gpu&hidden=12");
  await page.locator("#room-series [data-note]").getByText(/Compiling for the GPU: \d+ of \d+/).waitFor();
  await page.locator("#room-series [data-verdict]").getByText("RMSE").waitFor();
  await done();
});

/** A browser of its own. @param {boolean} gpu @param {(opened: Awaited<ReturnType<typeof open>>) => Promise<void>} work */
async function apart(gpu, work) {
  const own = await open({ gpu });
  try {
    await work(own);
  } finally {
    await own.close();
  }
}

/** Rooms on the device, and where each shows its step. */
const ON_DEVICE = [
  ["through-time", "length=10&hidden=8", "[data-networks] td"],
  ["text", "hidden=16&window=8", "[data-numbers] dd"],
  ["series", "hidden=8&window=11", null],
];

for (const [room, settings, stepAt] of ON_DEVICE) {
  test(`when the GPU is lost in the room ${room}, the page says so once and begins again on the CPU`, () => apart(true, async (own) => {
    // A browser gives no GPU any more after several have failed.
    const { page, problems } = await visit(own, `#/${room}?device=gpu&${settings}`);
    await page.locator(`#room-${room} [data-do=run]`).click();
    await page.waitForFunction(
      ([room, at]) => (at ? /[1-9]/.test(document.querySelector(`#room-${room} ${at}`)?.textContent ?? "") : document.querySelector(`#room-${room} [data-picture=loss] svg`)?.getAttribute("aria-label")?.includes("at step")),
      [room, stepAt],
    );
    await page.evaluate(() => {
      globalThis.told = 0;
      new MutationObserver(() => globalThis.told++).observe(document.getElementById("alarm"), { childList: true });
    });
    const session = await own.browser.newBrowserCDPSession();
    await session.send("Browser.crashGpuProcess");
    const button = page.getByRole("button", { name: "Begin again on the CPU" });
    await button.waitFor();
    await page.waitForTimeout(1000);
    assert.equal(await page.evaluate(() => globalThis.told), 1);
    assert.ok(await page.locator(`#room-${room} [data-do=run]`).isDisabled());
    await button.click();
    await page.locator(".lamp[data-kind=cpu]").waitFor();
    await page.waitForFunction((room) => location.hash.startsWith(`#/${room}?`) && location.hash.endsWith("device=cpu"), room);
    await trainTo(page, room, 5);
    assert.deepEqual(problems.filter((problem) => /Uncaught|TypeError/.test(problem)), []);
  }));
}

test("networks that another setting has replaced are not made", async () => {
  const { page, done } = await visit(opened, "#/line");
  const made = await page.evaluate(async () => {
    const { Client } = await import("./client.js");
    const client = new Client();
    await client.call("page.open", "gpu");
    const create = (hidden) => client.call("text.create", "to be or not to be, that is the question. ".repeat(60), { cell: "gru", hidden, layers: 1, window: 8, batch: 4, learning_rate: 0.01, seed: 1 });
    const made = (await Promise.all([8, 16, 24, 32, 40].map(create))).map(({ made }) => made);
    client.close();
    return made;
  });
  assert.deepEqual(made, [false, false, false, false, true]);
  await done({ late: true });
});

test("a click on Train while kernels are compiled begins the training after them, and a second one takes it back", async () => {
  const { page, done } = await visit(opened, "#/series?device=gpu&hidden=20");
  const run = page.locator("#room-series [data-do=run]");
  await page.locator("#room-series[data-network=making]").waitFor();
  await run.click();
  assert.equal(await run.innerText(), "Pause");
  await run.click();
  assert.equal(await run.innerText(), "Train");
  await run.click();
  await page.waitForFunction(() => document.querySelector("#room-series [data-picture=loss] svg")?.getAttribute("aria-label")?.includes("at step"));
  assert.equal(await run.innerText(), "Pause");
  await run.click();
  await done();
});

test("the back button undoes the choice of a device, and links keep it", async () => {
  const { page, done } = await visit(opened, "#/series?device=gpu&hidden=8");
  await page.locator("#room-series[data-network=made]").waitFor();
  await page.locator("#device summary").click();
  await page.getByLabel("CPU", { exact: true }).check();
  await page.locator(".lamp[data-kind=cpu]").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("link", { name: "A line" }).click();
  await page.waitForFunction(() => location.hash === "#/line?device=cpu");
  assert.equal(await page.locator(".lamp").getAttribute("data-kind"), "cpu");
  await page.goBack();
  await page.waitForFunction(() => location.hash.includes("series") && location.hash.includes("device=cpu"));
  await page.goBack();
  await page.locator(".lamp[data-kind=gpu]").waitFor();
  assert.match(page.url(), /device=gpu/);
  await done();
});

for (const [room, settings] of ON_DEVICE) {
  test(`where there is no GPU, asking for one in the room ${room} is answered with the CPU on offer`, () => apart(false, async (without) => {
    const page = await without.browser.newPage();
    await page.goto(`${without.site.address}/#/${room}?device=gpu&${settings}`);
    const offer = page.getByRole("button", { name: "Use the CPU" });
    await offer.waitFor();
    await page.waitForTimeout(300);
    assert.match(await page.locator("#alarm").innerText(), /^No GPU: this browser has no WebGPU, or no driver for it\./);
    assert.equal(await page.locator(`#room-${room} [data-problem]:not([hidden])`).count(), 0);
    assert.ok(await page.locator(`#room-${room} [data-do=run]`).isDisabled());
    await offer.click();
    await page.locator("#device-name").getByText("CPU").waitFor();
    assert.match(page.url(), /device=cpu/);
    await trainTo(page, room, 5);
  }));
}

test("a GPU that is not there leaves the training on the CPU as it is", () => apart(false, async (without) => {
  const { page, done } = await visit(without, "#/text?hidden=16&window=8");
  const step = async () => Number((await page.locator("#room-text [data-numbers] dd").first().innerText()).replace(/\D/g, ""));
  await page.locator("#room-text [data-do=run]").click();
  await page.waitForFunction(() => document.querySelector("#room-text [data-numbers] dd")?.textContent !== "0");
  await page.locator("#device summary").click();
  await page.getByLabel("GPU (WebGPU)").check();
  await page.locator("#alarm").getByText("Networks are still computed on CPU").waitFor();
  const before = await step();
  await page.waitForFunction((before) => Number(document.querySelector("#room-text [data-numbers] dd")?.textContent?.replace(/\D/g, "")) > before + 3, before);
  assert.ok(await page.getByLabel("GPU if there is one").isChecked());
  assert.equal(await page.locator("#device-name").innerText(), "CPU");
  assert.doesNotMatch(page.url(), /device/);
  await done();
}));
