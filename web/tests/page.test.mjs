// The frame of the page, in a browser without WebGPU: rooms 1 and 4, addresses, keyboard, names and roles, small screens.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { losses, open, trainTo, visit } from "./browser.mjs";
import { assertNative } from "./native.mjs";

/** @type {Awaited<ReturnType<typeof open>>} */
let opened;
before(async () => (opened = await open({ gpu: false })));
after(() => opened.close());

const ROOMS = ["line", "three-steps", "through-time", "text", "series"];
const PHONE = { viewport: { width: 360, height: 740 } };

test("the line is found by gradient descent, and lost with a learning rate that is too large", async () => {
  const { page, done } = await visit(opened, "#/line?rate=0.3");
  for (let i = 0; i < 40; i++) await page.locator("#room-line [data-do=step]").click();
  await page.getByText("The gradient is almost 0").waitFor();
  await page.waitForFunction(() => document.querySelector("#room-line [data-numbers]")?.textContent?.startsWith("step40w"));
  await page.locator("#room-line input[name=rate]").focus();
  await page.keyboard.press("End");
  await page.getByText("overshoots by more than it gains").or(page.getByText("almost 0")).first().waitFor();
  await page.locator("#room-line [data-do=reset]").click();
  for (let i = 0; i < 12; i++) await page.locator("#room-line [data-do=step]").click();
  await page.getByText("The path has left the valley").waitFor();
  await done();
});

test("a point moves by the arrow keys and by the pointer, and keeps the focus", async () => {
  const { page, done } = await visit(opened, "#/line");
  const point = page.getByRole("slider", { name: "Point 1", exact: true });
  await point.focus();
  for (let i = 0; i < 3; i++) await page.keyboard.press("ArrowUp");
  await page.waitForFunction(() => document.activeElement?.getAttribute("aria-valuetext") === "x −1.6, y −0.6");
  const box = await point.boundingBox();
  assert.ok(box);
  await page.mouse.move(box.x + 7, box.y + 7);
  await page.mouse.down();
  await page.mouse.move(box.x + 7, box.y - 50, { steps: 5 });
  await page.mouse.up();
  assert.notEqual(await point.getAttribute("aria-valuetext"), "x −1.6, y −0.6");
  await done();
});

test("a text is learned, and what the network writes is refreshed", async () => {
  const { page, done } = await visit(opened, "#/text?hidden=32&rate=0.02");
  const before = await page.locator("#room-text [data-sample]").innerText();
  await trainTo(page, "text", 60);
  const [training] = await losses(page, "text");
  assert.ok(training.last < training.first - 0.5, `${training.last} < ${training.first}`);
  await page.locator("#room-text [data-do=sample]").click();
  await page.waitForFunction((before) => document.querySelector("#room-text [data-sample]")?.textContent !== before, before);
  assert.match(await page.locator("#room-text [data-sample]").innerText(), /^Shall /);
  await done();
});

test("the first 20 losses of the text on the CPU are those of the native CPU path", async () => {
  const { page, done } = await visit(opened, "#/line");
  await assertNative(page, "cpu", "text");
  await done({ late: true });
});

test("the four networks train on the CPU, with the native losses", async () => {
  const { page, done } = await visit(opened, "#/through-time?length=10&hidden=8&rate=0.02");
  await trainTo(page, "through-time", 100);
  for (const { name, first, last } of await losses(page, "through-time")) assert.ok(last < first, `${name}: ${last} < ${first}`);
  await assertNative(page, "cpu", "through-time");
  await done({ late: true });
});

test("settings are in the address, and the back button undoes them", async () => {
  const { page, done } = await visit(opened, "#/three-steps");
  const activation = page.locator("#room-three-steps select[name=activation]");
  await activation.selectOption("relu");
  await page.waitForFunction(() => location.hash === "#/three-steps?activation=relu");
  await page.getByRole("link", { name: "A line" }).click();
  await page.getByRole("heading", { name: "A line" }).waitFor();
  assert.equal(await page.getByRole("link", { name: "A line" }).getAttribute("aria-current"), "page");
  await page.goBack();
  await page.getByRole("heading", { name: "Three steps" }).waitFor();
  assert.equal(await activation.inputValue(), "relu");
  await page.goBack();
  await page.waitForFunction(() => location.hash === "#/three-steps");
  assert.equal(await activation.inputValue(), "tanh");
  await done();
});

test("a slider changes the address as it moves", async () => {
  const { page, done } = await visit(opened, "#/line");
  await page.locator("#room-line input[name=rate]").focus();
  await page.keyboard.press("ArrowRight");
  await page.waitForFunction(() => location.hash === "#/line?rate=0.11");
  await done();
});

test("training pauses while the page is hidden and goes on when it is shown", async () => {
  const { page, done } = await visit(opened, "#/text?hidden=16");
  await page.locator("#room-text [data-do=run]").click();
  const step = async () => Number((await page.locator("#room-text [data-numbers] dd").first().innerText()).replace(/\D/g, ""));
  await page.waitForFunction(() => document.querySelector("#room-text [data-numbers] dd")?.textContent !== "0");
  const hide = (hidden) => page.evaluate((hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
  }, hidden);
  await hide(true);
  await page.waitForTimeout(600);
  const paused = await step();
  await page.waitForTimeout(600);
  assert.equal(await step(), paused);
  await hide(false);
  await page.waitForFunction((paused) => Number(document.querySelector("#room-text [data-numbers] dd")?.textContent?.replace(/\D/g, "")) > paused, paused);
  await done();
});

test("pause takes effect at once, and the page answers while it trains", async () => {
  const { page, done } = await visit(opened, "#/through-time");
  const run = page.locator("#room-through-time [data-do=run]");
  await run.click();
  await page.waitForFunction(() => document.querySelector("#room-through-time [data-networks] td")?.textContent !== "0");
  const answer = await page.evaluate(async () => {
    const begun = performance.now();
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    return performance.now() - begun;
  });
  assert.ok(answer < 1000, `two frames took ${answer} ms`);
  await run.click();
  assert.equal(await run.innerText(), "Train");
  await done();
});

for (const scheme of ["light", "dark"]) {
  test(`no text of any room has too little contrast (AA), ${scheme}`, async () => {
    const { page, done } = await visit(opened, "#/line", { colorScheme: scheme });
    for (const room of ROOMS) {
      await page.locator(`[data-room=${room}]`).click();
      await page.locator(`#room-${room} [data-do=reset]`).waitFor();
      assert.deepEqual(await page.evaluate(faint), [], room);
    }
    await done();
  });
}

/** In the page: texts whose colour is too near to that of their ground. */
function faint() {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = (colour) => {
    const [r, g, b] = colour.slice(0, 3).map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent?.trim() || !node?.checkVisibility() || node.closest("svg, noscript, .unseen, :disabled")) continue;
    const style = getComputedStyle(node);
    const [a, b] = [luminance(rgb(style.color)), luminance(ground(node))].sort((a, b) => b - a);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(`${walker.currentNode.textContent.trim().slice(0, 30)}: ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
  }
  return found;
}

test("every control and every picture has a name, and every room is a region with a heading", async () => {
  const { page, done } = await visit(opened, "#/line");
  for (const room of ROOMS) {
    await page.locator(`[data-room=${room}]`).click();
    await page.locator(`#room-${room} [data-do=reset]`).waitFor();
    await page.waitForTimeout(300);
    const nameless = await page.evaluate((room) => {
      const controls = [...document.querySelectorAll(`#room-${room} :is(input:not([type=hidden]), select, textarea, button, [role=img], [role=slider], [role=group], [role=region])`)];
      const named = (node) => node.getAttribute("aria-label") || node.textContent.trim() || node.labels?.[0]?.textContent.trim();
      return controls.filter((node) => !named(node)).map((node) => node.outerHTML.slice(0, 80));
    }, room);
    assert.deepEqual(nameless, [], room);
    assert.equal(await page.locator("main section:visible h1").count(), 1);
  }
  await done();
});

test("the first stop of the Tab key skips to the content, and the focus is seen", async () => {
  const { page, done } = await visit(opened, "#/line");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.className), "skip");
  await page.keyboard.press("Tab");
  const outline = await page.evaluate(() => getComputedStyle(/** @type {Element} */ (document.activeElement)).outlineStyle);
  assert.equal(outline, "solid");
  await done();
});

for (const room of ROOMS) {
  test(`room ${room} fits a screen of 360 pixels`, async () => {
    const { page, done } = await visit(opened, `#/${room}`, PHONE);
    await page.locator(`#room-${room} [data-do=reset]`).waitFor();
    await page.waitForTimeout(400);
    const { over, small } = await page.evaluate(() => ({
      over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      small: [...document.querySelectorAll("main p, main label, main td, main button")].filter((node) => node.checkVisibility() && parseFloat(getComputedStyle(node).fontSize) < 12).length,
    }));
    assert.ok(over <= 0, `${over} pixels too wide`);
    assert.equal(small, 0);
    await done();
  });
}

test("light and dark follow the button and are remembered", async () => {
  const { page, done } = await visit(opened, "#/line", { colorScheme: "light" });
  const paper = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await paper();
  const button = page.locator("#theme");
  await button.click();
  await button.click();
  assert.equal(await button.getAttribute("aria-label"), "Colours: dark");
  assert.notEqual(await paper(), light);
  await page.reload();
  assert.notEqual(await paper(), light);
  await done({ late: true });
});
