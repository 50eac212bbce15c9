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

test("when the GPU is lost, the page says so and begins again on the CPU", async () => {
  const { page, problems } = await visit(opened, "#/text?device=gpu&hidden=16&window=8");
  await page.locator("#room-text [data-do=run]").click();
  await page.waitForFunction(() => document.querySelector("#room-text [data-numbers] dd")?.textContent !== "0");
  const session = await opened.browser.newBrowserCDPSession();
  await session.send("Browser.crashGpuProcess");
  const button = page.getByRole("button", { name: "Begin again on the CPU" });
  await button.waitFor();
  await button.click();
  await page.locator(".lamp[data-kind=cpu]").waitFor();
  await trainTo(page, "text", 5);
  assert.deepEqual(problems.filter((problem) => /Uncaught|TypeError/.test(problem)), []);
  await page.close();
});

test("where there is no GPU, asking for one is answered with the CPU on offer", async () => {
  const without = await open({ gpu: false });
  try {
    const page = await without.browser.newPage();
    await page.goto(`${without.site.address}/#/series?device=gpu`);
    await page.getByRole("button", { name: "Use the CPU" }).click();
    await page.locator("#device-name").getByText("CPU").waitFor();
    await trainTo(page, "series", 5);
  } finally {
    await without.close();
  }
});
