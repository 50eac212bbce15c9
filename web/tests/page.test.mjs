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
  await page.locator("#room-line [data-do=reset]").click();
  await page.getByText("Each step overshoots by more than it gains").waitFor();
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

test("the back button returns to the address without a device, and to the device that it stands for", async () => {
  const { page, done } = await visit(opened, "#/line");
  await page.locator("#device summary").click();
  await page.getByLabel("CPU", { exact: true }).check();
  await page.waitForFunction(() => location.hash === "#/line?device=cpu");
  await page.goBack();
  await page.waitForFunction(() => location.hash === "#/line");
  assert.ok(await page.getByLabel("GPU if there is one").isChecked());
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
  const steps = () => page.locator("#room-through-time [data-networks] td:nth-child(2)").allInnerTexts();
  // The step that was being taken ends.
  await page.waitForTimeout(500);
  const paused = await steps();
  await page.waitForTimeout(500);
  assert.deepEqual(await steps(), paused);
  await done();
});

for (const scheme of ["light", "dark"]) {
  test(`no text of any room has too little contrast (AA), ${scheme}`, async () => {
    const { page, done } = await visit(opened, "#/line", { colorScheme: scheme });
    for (const room of ROOMS) {
      await page.locator(`[data-room=${room}]`).click();
      await page.locator(`#room-${room}[data-network=made]`).waitFor();
      // The pictures.
      await page.waitForTimeout(300);
      assert.deepEqual(await page.evaluate(faint), [], room);
    }
    await done();
  });
}

/** In the page: texts whose colour is too near to that of their ground, in pictures and before links too. */
function faint() {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    if (colour === "none") return [0, 0, 0, 0];
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
    // What a text in a picture stands on: the last shape before it that covers its place.
    const picture = node.closest("svg");
    if (picture) {
      const at = node.getBoundingClientRect();
      const [x, y] = [at.x + at.width / 2, at.y + at.height / 2];
      const shapes = [...picture.querySelectorAll(".box, .pill")].filter((shape) => {
        const box = shape.getBoundingClientRect();
        const before = shape.compareDocumentPosition(node) & Node.DOCUMENT_POSITION_FOLLOWING;
        return before && box.left <= x && x <= box.right && box.top <= y && y <= box.bottom && rgb(getComputedStyle(shape).fill)[3] === 255;
      });
      const shape = shapes.at(-1);
      if (shape) return rgb(getComputedStyle(shape).fill);
    }
    for (let at = node; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255, 255];
  };
  const opacity = (node) => (node ? Number(getComputedStyle(node).opacity) * opacity(node.parentElement) : 1);
  const found = [];
  const check = (what, node, style, share) => {
    const below = ground(node);
    const colour = rgb(node.closest("svg") ? style.fill : style.color).map((part, i) => share * part + (1 - share) * below[i]);
    const [a, b] = [luminance(colour), luminance(below)].sort((a, b) => b - a);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(`${what.slice(0, 30)}: ${((a + 0.05) / (b + 0.05)).toFixed(2)}`);
  };
  for (const node of document.body.querySelectorAll("*")) {
    if (!node.checkVisibility() || node.closest("noscript, .unseen, :disabled")) continue;
    const text = [...node.childNodes].filter((child) => child.nodeType === Node.TEXT_NODE).map((child) => child.textContent?.trim()).join("");
    if (text) check(text, node, getComputedStyle(node), opacity(node));
    const before = getComputedStyle(node, "::before");
    if (!["none", "normal", '""'].includes(before.content)) check(`before ${node.textContent}`, node, before, opacity(node) * Number(before.opacity));
  }
  return found;
}

/** What a screen reader must name. */
const NAMED = ["button", "checkbox", "combobox", "image", "img", "link", "radio", "region", "slider", "spinbutton", "textbox"];

/** Elements of a page without a name, as a screen reader computes it. */
async function nameless(page) {
  const session = await page.context().newCDPSession(page);
  const { nodes } = await session.send("Accessibility.getFullAXTree");
  await session.detach();
  const roles = nodes.filter(({ ignored, role }) => !ignored && NAMED.includes(role?.value));
  assert.ok(roles.length > 12, `${roles.length} controls`);
  return roles.filter(({ name }) => !name?.value?.trim()).map(({ role, backendDOMNodeId }) => `${role.value} ${backendDOMNodeId}`);
}

test("every control and every picture has a name, and every room is a region with a heading", async () => {
  const { page, done } = await visit(opened, "#/line");
  for (const room of ROOMS) {
    await page.locator(`[data-room=${room}]`).click();
    await page.locator(`#room-${room}[data-network=made]`).waitFor();
    await page.evaluate((room) => document.querySelectorAll(`#room-${room} details`).forEach((details) => (details.open = true)), room);
    await page.waitForTimeout(300);
    assert.deepEqual(await nameless(page), [], room);
    assert.equal(await page.locator("[role=group]:not([aria-label])").count(), 0);
    assert.equal(await page.locator("main section:visible h1").count(), 1);
  }
  await done();
});

test("the first stop of the Tab key skips to the content of the room, and the focus is seen", async () => {
  const { page, done } = await visit(opened, "#/three-steps");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement?.className), "skip");
  await page.keyboard.press("Enter");
  assert.deepEqual(await page.evaluate(() => [document.activeElement?.id, location.hash]), ["main", "#/three-steps"]);
  assert.ok(await page.locator("#room-three-steps").isVisible());
  await page.keyboard.press("Tab");
  assert.ok(await page.evaluate(() => document.activeElement?.closest("#room-three-steps") !== null), "the next stop is in the room");
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

test("an address that names no room shows the first one", async () => {
  for (const name of ["constructor", "toString", "__proto__", "nowhere"]) {
    const { page, done } = await visit(opened, `#/${name}`);
    await page.locator("#room-line[data-network=made]").waitFor();
    assert.ok(await page.locator("#room-line").isVisible(), name);
    await done();
  }
});

test("the term that is chosen is in the address, and none as well as the first is a link", async () => {
  const { page, done } = await visit(opened, "#/three-steps");
  const pressed = () => page.locator(".term[aria-pressed=true]").evaluateAll((terms) => terms.map((term) => term.getAttribute("aria-label").slice(0, 14)));
  await page.locator('.term[aria-label^="Term of step 2"]').click();
  await page.waitForFunction(() => location.hash === "#/three-steps?term=2");
  assert.deepEqual(await pressed(), ["Term of step 2"]);
  await page.goBack();
  await page.waitForFunction(() => location.hash === "#/three-steps");
  assert.deepEqual(await pressed(), ["Term of step 1"]);
  await page.goForward();
  await page.waitForFunction(() => document.querySelector(".term[aria-pressed=true]")?.getAttribute("aria-label")?.startsWith("Term of step 2"));
  await done();
});

test("the path begins where the reader types or clicks, within the axes", async () => {
  const { page, done } = await visit(opened, "#/line");
  const numbers = () => page.locator("#room-line [data-numbers]").innerText();
  await page.getByLabel("Start at w").fill("2.5");
  await page.waitForFunction(() => document.querySelector("#room-line [data-numbers]")?.textContent?.includes("w2.5000b1.6000"));
  await page.getByLabel("Start at b").fill("9");
  await page.locator("#room-line [data-problem]").getByText("Start at b: expected a number from -3 to 3.5, got 9.").waitFor();
  await page.getByLabel("Start at b").press("Tab");
  assert.equal(await page.getByLabel("Start at b").inputValue(), "1.60");
  const box = await page.locator("#room-line [data-picture=valley] svg").boundingBox();
  await page.mouse.click(box.x + 4, box.y + box.height - 4);
  await page.waitForFunction(() => document.querySelector("#room-line [data-numbers]")?.textContent?.includes("w−2.5000b−3.0000"));
  assert.match(await numbers(), /step\s*0/);
  await done();
});

test("a run that begins anew is one run, and a pause ends it", async () => {
  const { page, done } = await visit(opened, "#/line?rate=0.01");
  const [run, reset] = ["run", "reset"].map((name) => page.locator(`#room-line [data-do=${name}]`));
  const step = async () => Number((await page.locator("#room-line [data-numbers] dd").first().innerText()));
  await run.click();
  await page.waitForFunction(() => Number(document.querySelector("#room-line [data-numbers] dd")?.textContent) > 3);
  for (let i = 0; i < 3; i++) {
    await reset.click();
    await run.click();
  }
  await page.waitForTimeout(1200);
  await run.click();
  await page.waitForTimeout(300);
  const taken = await step();
  // A step takes 120 ms, and four runs at once would take 40 steps.
  assert.ok(taken >= 3 && taken <= 16, `${taken} steps`);
  await page.waitForTimeout(400);
  assert.equal(await step(), taken);
  await done();
});

test("a slider that moves writes the address seldom, and once it rests", async () => {
  const { page, done } = await visit(opened, "#/line");
  const calls = await page.evaluate(async () => {
    let calls = 0;
    const replace = history.replaceState.bind(history);
    history.replaceState = (...given) => {
      calls++;
      replace(...given);
    };
    const slider = document.querySelector("#room-line input[name=rate]");
    for (let i = 0; i < 50; i++) {
      slider.value = String(-2 + i / 100);
      slider.dispatchEvent(new Event("input", { bubbles: true }));
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return calls;
  });
  assert.ok(calls <= 1, `${calls} calls while it moves`);
  await page.waitForFunction(() => location.hash === "#/line?rate=0.032");
  await done();
});

test("an update without a gradient is told from one that was too long", async () => {
  const { page, done } = await visit(opened, "#/three-steps?activation=relu&size=1&rate=10");
  const verdict = page.locator("#room-three-steps [data-verdict]");
  await page.getByText("Weights and their gradients").click();
  // The unit is closed at all steps, and b_y alone has a gradient, until it has none either.
  for (const [label, value] of [["b h, row 1, column 1", "-9"], ["w hy, row 1, column 1", "0"], ["b y, row 1, column 1", "900"]]) {
    await page.getByLabel(label).fill(value);
    await page.getByLabel(label).press("Tab");
  }
  await page.getByRole("button", { name: "One update" }).click();
  await verdict.getByText("The gradient was 0, so the last update changed nothing.").waitFor();
  assert.doesNotMatch(await verdict.innerText(), /too long/);
  await done();
});

test("what is typed in a weight stays while the answer to another one comes", async () => {
  const { page, done } = await visit(opened, "#/three-steps");
  await page.getByText("Weights and their gradients").click();
  const [first, second] = [page.getByLabel("w hh, row 1, column 1"), page.getByLabel("b h, row 1, column 1")];
  const before = await second.inputValue();
  await first.fill("0.123");
  await first.press("Tab");
  await second.fill("0.4");
  await page.waitForTimeout(300);
  assert.equal(await second.inputValue(), "0.4");
  // Typed back, it is no change, and the next update shows its new value.
  await second.fill(before);
  await second.press("Tab");
  await page.getByRole("button", { name: "One update" }).click();
  await page.waitForFunction(([label, before]) => document.querySelector(`[aria-label="${label}"]`)?.value !== before, ["b h, row 1, column 1", before]);
  assert.equal(await first.inputValue() !== "0.123", true);
  await done();
});

test("the arrow keys say the factor that they reach", async () => {
  const { page, done } = await visit(opened, "#/three-steps");
  await page.locator('.term[aria-label^="Term of step 1"]').focus();
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.locator("#live").innerText(), "∂L by ∂h3");
  await page.keyboard.press("ArrowRight");
  assert.equal(await page.locator("#live").innerText(), "∂h3 by ∂h2");
  await done();
});

test("a slider is read once, and a point is large enough for a finger", async () => {
  const { page, done } = await visit(opened, "#/line");
  assert.equal(await page.locator("output:not([aria-live=off])").count(), 0);
  const box = await page.getByRole("slider", { name: "Point 1", exact: true }).boundingBox();
  assert.ok(box.width >= 24 && box.height >= 24, `${box.width} × ${box.height}`);
  await done();
});

test("a network that diverges stops alone, is named with a remedy, and is in the sentence", async () => {
  const { page, done } = await visit(opened, "#/through-time?length=200&hidden=24&rate=0.1&clip=off");
  const room = "#room-through-time";
  await page.locator(`${room} [data-do=run]`).click();
  const problem = page.locator(`${room} [data-problem]`);
  await problem.getByText(/IRNN.* diverged: .* Lower the learning rate or “Clip at norm”, then reset\./).waitFor();
  const steps = async () => (await page.locator(`${room} [data-networks] td:nth-child(2)`).allInnerTexts()).map((text) => Number(text.replace(/\D/g, "")));
  const before = await steps();
  await page.waitForFunction((before) => Number(document.querySelector("#room-through-time [data-networks] td:nth-child(2)")?.textContent?.replace(/\D/g, "")) > before + 3, before[0]);
  assert.equal((await steps())[1], before[1]);
  assert.equal(await page.locator(`${room} [data-do=run]`).innerText(), "Pause");
  assert.equal(await page.locator(`${room} [data-networks] tr`).nth(1).locator("td").nth(1).innerText(), "diverged");
  await page.locator(`${room} [data-do=run]`).click();
  await page.locator(`${room} [data-do=reset]`).click();
  await problem.waitFor({ state: "hidden" });
  await done();
});

test("the sentence of room 3 has a gradient beyond all numbers, and a norm of 0 has no place in the picture", async () => {
  const { page, done } = await visit(opened, "#/line");
  const [path, sentence] = await page.evaluate(async () => {
    const { NormsPicture } = await import("./draw/norms.js");
    const { verdict } = await import("./rooms/through-time.js");
    const host = document.createElement("div");
    document.body.append(host);
    new NormsPicture(host).draw([{ name: "tanh RNN", look: "rnn", norms: [0, 0, 1e-3, 1], clip_factor: 1, factor: null }]);
    const networks = [["tanh RNN", [0, 0, 1e-3, 1]], ["IRNN", [null, null, 1e30, 1]]].map(([name, norms]) => ({ name, gradient: { norms } }));
    return [host.querySelector(".curve")?.getAttribute("d"), verdict(networks)];
  });
  assert.equal(path?.match(/[ML]/g)?.length, 2, path);
  assert.match(sentence, /becomes 0 in the tanh RNN, and too long for any number in the IRNN/);
  await done({ late: true });
});

test("a loss curve keeps its first and last step, and no more points than can be seen", async () => {
  const { page, done } = await visit(opened, "#/line");
  const [points, last, mean] = await page.evaluate(async () => {
    const { LossHistory } = await import("./draw/losses.js");
    const history = new LossHistory();
    let [sum, weight] = [0, 0];
    for (let step = 1; step <= 100_000; step++) {
      history.push(step, 1 / step);
      [sum, weight] = [0.9 * sum + 0.1 / step, 0.9 * weight + 0.1];
    }
    return [history.points, history.last?.[1], sum / weight];
  });
  assert.ok(points.length > 300 && points.length <= 801, `${points.length} points`);
  assert.deepEqual([points[0][0], points.at(-1)[0]], [1, 100_000]);
  assert.ok(Math.abs(last - mean) < 1e-12, `${last} ${mean}`);
  await done({ late: true });
});

test("the learning rate of a text changes while it trains, and the pause shows the validation of its step", async () => {
  const { page, done } = await visit(opened, "#/text?hidden=16&window=16");
  const room = "#room-text";
  const step = async () => Number((await page.locator(`${room} [data-numbers] dd`).first().innerText()).replace(/\D/g, ""));
  await trainTo(page, "text", 200);
  await page.waitForTimeout(400);
  const before = await step();
  await page.locator(`${room} input[name=rate]`).focus();
  await page.keyboard.press("ArrowLeft");
  await page.waitForTimeout(400);
  assert.equal(await step(), before);
  await page.locator(`${room} [data-do=run]`).click();
  await page.waitForFunction((before) => Number(document.querySelector("#room-text [data-numbers] dd")?.textContent?.replace(/\D/g, "")) > before, before);
  await page.locator(`${room} [data-do=run]`).click();
  await page.waitForFunction(() => {
    const [step, , , validation] = [...document.querySelectorAll("#room-text [data-numbers] dd")].map((dd) => dd.textContent);
    return validation?.endsWith(` at step ${step}`);
  });
  await done();
});

for (const room of ROOMS) {
  test(`room ${room} fits a screen of 1280 by 800 pixels`, async () => {
    const { page, done } = await visit(opened, `#/${room}`);
    await page.locator(`#room-${room}[data-network=made]`).waitFor();
    await page.waitForTimeout(400);
    const height = await page.evaluate(() => document.documentElement.scrollHeight);
    assert.ok(height <= 800, `${height} pixels`);
    await done();
  });
}
