// Room 2 in a browser with WebGPU. Its numbers are worked out here once more, from the lecture's weights.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { open, visit } from "./browser.mjs";

/** @type {Awaited<ReturnType<typeof open>>} */
let opened;
before(async () => (opened = await open({ gpu: true })));
after(() => opened.close());

const X = [[0.5, -1], [1.25, 0.75], [-0.5, 0.25]];
const W_XH = [[0.5, -0.25], [0.75, 1]];
const W_HH = [[0.625, -0.875], [0.5, 0.25]];
const B_H = [0.125 - 0.5, -0.25 + 0.375];
const H_0 = [0.375, -0.625];
const W_HY = [1.5, -0.5];
const B_Y = 0.25;

const apply = (m, v) => m.map((row) => row[0] * v[0] + row[1] * v[1]);
const pullBack = (d, m) => [0, 1].map((j) => d[0] * m[0][j] + d[1] * m[1][j]);

/** The lecture's example with tanh and binary cross-entropy to the target 1, by hand. */
function lecture() {
  const h = [H_0];
  const slope = [];
  for (const x of X) {
    const [fromX, fromH] = [apply(W_XH, x), apply(W_HH, h[h.length - 1])];
    const z = [0, 1].map((i) => fromX[i] + fromH[i] + B_H[i]);
    h.push(z.map(Math.tanh));
    slope.push(z.map((z) => 1 - Math.tanh(z) ** 2));
  }
  const yHat = 1 / (1 + Math.exp(-(W_HY[0] * h[3][0] + W_HY[1] * h[3][1] + B_Y)));
  const dh = [[], [], [], W_HY.map((w) => w * (yHat - 1))];
  const terms = [];
  for (let k = 3; k >= 1; k--) {
    const dz = [0, 1].map((i) => dh[k][i] * slope[k - 1][i]);
    terms[k - 1] = dz.map((d) => h[k - 1].map((h) => d * h));
    dh[k - 1] = pullBack(dz, W_HH);
  }
  return { h, dh, terms, loss: -Math.log(yHat), yHat };
}

const shown = (value) => value.toFixed(4).replace(/^-(0\.0000)$/, "$1").replace("-", "−");

test("room 2 shows the lecture's numbers of both passes", async () => {
  const { page, done } = await visit(opened, "#/three-steps");
  await page.getByText("Every number of both passes").click();
  const { h, dh, loss, yHat } = lecture();
  for (const t of [0, 1, 2, 3]) {
    const row = await page.locator(`[data-table] tr[data-step="${t}"]`).innerText();
    for (const value of [...h[t], ...dh[t]]) assert.ok(row.includes(shown(value)), `step ${t} shows ${shown(value)}: ${row}`);
  }
  assert.equal(await page.locator("[data-output=loss]").innerText(), shown(loss));
  assert.equal(await page.locator("[data-output=y_hat]").innerText(), shown(yHat));
  await done();
});

test("the gradient of W_hh is shown as the sum of the lecture's three terms", async () => {
  const { page, done } = await visit(opened, "#/three-steps");
  const { terms } = lecture();
  for (const k of [1, 2, 3]) {
    const label = await page.locator(`.term[aria-label^="Term of step ${k}"]`).getAttribute("aria-label");
    for (const value of terms[k - 1].flat()) assert.ok(label?.includes(shown(value)), `term ${k} shows ${shown(value)}: ${label}`);
  }
  const total = await page.locator("[data-sum] > math").last().textContent();
  const sum = terms.reduce((sum, term) => sum.map((row, i) => row.map((value, j) => value + term[i][j])), [[0, 0], [0, 0]]);
  for (const value of sum.flat()) assert.ok(total?.includes(shown(value)), `the sum shows ${shown(value)}: ${total}`);
  await done();
});

test("a term under the pointer or with the focus lights its chain of factors, in the formula and in the diagram", async () => {
  const { page, done } = await visit(opened, "#/three-steps?term=none");
  const lit = () => page.locator(".diagram [data-part].lit").evaluateAll((parts) => parts.map((part) => part.getAttribute("data-part")));
  assert.deepEqual(await lit(), []);
  await page.locator('.term[aria-label^="Term of step 2"]').hover();
  assert.deepEqual((await lit()).sort(), ["h2-h1 use2", "h3-h2 use3", "out"]);
  assert.equal(await page.locator(".term .factor.lit").count(), 3);
  await page.mouse.move(5, 5);
  await page.locator('.term[aria-label^="Term of step 1"]').focus();
  assert.deepEqual((await lit()).sort(), ["h1-h0 use1", "h2-h1 use2", "h3-h2 use3", "out"]);
  const now = () => page.locator(".diagram [data-part].now").getAttribute("data-part");
  await page.keyboard.press("ArrowRight");
  assert.equal(await now(), "out");
  await page.keyboard.press("ArrowRight");
  assert.equal(await now(), "h3-h2 use3");
  await done();
});

test("each update lowers the loss, by the crate's gradient", async () => {
  const { page, done } = await visit(opened, "#/three-steps?rate=0.1");
  const loss = async () => Number(await page.locator("[data-output=loss]").textContent());
  await page.getByText("Every number of both passes").click();
  let before = await loss();
  for (let i = 1; i <= 5; i++) {
    await page.getByRole("button", { name: "One update" }).click();
    await page.waitForFunction((i) => document.querySelector("#room-three-steps [data-verdict]")?.textContent?.includes(i === 1 ? "one update" : `${i} updates`), i);
    const now = await loss();
    assert.ok(now < before, `${now} < ${before}`);
    before = now;
  }
  await done();
});

test("a weight that the reader types changes the numbers", async () => {
  const { page, done } = await visit(opened, "#/three-steps");
  await page.getByText("Weights and their gradients").click();
  const weight = page.getByLabel("w hh, row 1, column 2");
  assert.equal(await weight.inputValue(), "-0.875");
  const before = await page.locator("#room-three-steps [data-verdict]").innerText();
  await weight.fill("0");
  await weight.press("Tab");
  await page.waitForFunction((before) => document.querySelector("#room-three-steps [data-verdict]")?.textContent?.trim() !== before, before.trim());
  assert.equal(await weight.inputValue(), "0");
  await done();
});

for (const [activation, loss] of [["relu", "classes"], ["sigmoid", "squared"], ["identity", "binary"]]) {
  test(`room 2 works with ${activation}, ${loss} and one unit, from the address`, async () => {
    const { page, done } = await visit(opened, `#/three-steps?activation=${activation}&loss=${loss}&size=1`);
    await page.waitForFunction(() => document.querySelector("#room-three-steps [data-verdict]")?.textContent?.includes("The loss is"));
    assert.equal(await page.locator("#room-three-steps select[name=activation]").inputValue(), activation);
    await page.getByRole("button", { name: "One update" }).click();
    await page.getByText("After one update").waitFor();
    await done();
  });
}
