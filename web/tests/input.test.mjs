// Bad input: a message beside the input, and a page that goes on.
import assert from "node:assert/strict";
import { mkdtemp, open as openFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { open, trainTo, visit } from "./browser.mjs";

/** @type {Awaited<ReturnType<typeof open>>} */
let opened;
let huge = (name) => name;
let folder = "";
before(async () => {
  opened = await open({ gpu: false });
  folder = await mkdtemp(join(tmpdir(), "bptt-web-"));
  // 500 MB that take no disk.
  huge = (name) => join(folder, name);
  for (const name of ["huge.csv", "huge.safetensors", "huge.txt"]) {
    const file = await openFile(huge(name), "w");
    await file.truncate(500e6);
    await file.close();
  }
});
after(async () => {
  await opened.close();
  await rm(folder, { recursive: true });
});

const problem = (page, room) => page.locator(`#room-${room} [data-problem]:not([hidden])`);
const file = (name, content) => ({ name, mimeType: "text/plain", buffer: Buffer.from(content) });

/** The message of a room, after which its network still trains. @param {RegExp} expected */
async function assertRefused(page, room, expected) {
  await problem(page, room).waitFor();
  assert.match(await problem(page, room).innerText(), expected);
}

const TABLES = [
  ["a word where a number should be", file("bad.csv", "year,value\n1700,5\n1701,many\n1702,7\n"), /line 3|row 2|many/],
  ["a row that is too short", file("short.csv", "year,value,other\n1700,5,1\n1701,6\n1702,7,2\n"), /line 3|column/],
  ["no numbers", file("words.csv", "a,b\nx,y\nz,w\n"), /number/],
  ["an empty file", file("empty.csv", ""), /empty\.csv is empty/],
  ["bytes that are no text", { name: "noise.csv", mimeType: "text/csv", buffer: Buffer.from(Array.from({ length: 4000 }, (_, i) => (i * 197 + 13) % 256)) }, /./],
  ["too few rows for the window", file("few.csv", "year,value\n1,1\n2,2\n3,3\n4,4\n"), /row|window|short/],
];

for (const [what, given, expected] of TABLES) {
  test(`a CSV with ${what} is refused beside the input`, async () => {
    const { page, done } = await visit(opened, "#/series");
    await page.locator("#room-series [data-csv]").setInputFiles(/** @type {any} */ (given));
    await assertRefused(page, "series", /** @type {RegExp} */ (expected));
    await page.locator("#room-series [data-do=sunspots]").click();
    await trainTo(page, "series", 5);
    assert.equal(await problem(page, "series").count(), 0);
    await done();
  });
}

test("a file of 500 MB is refused by its size, as a table, a model and a text", async () => {
  const { page, done } = await visit(opened, "#/series");
  for (const [kind, name, limit] of [["csv", "huge.csv", 20], ["model", "huge.safetensors", 64]]) {
    await page.locator(`#room-series [data-${kind}]`).setInputFiles(huge(name));
    await page.locator("#room-series [data-problem]").getByText(`${name} has 500 MB; this page takes at most ${limit} MB`).waitFor();
  }
  await page.locator('[data-room="text"]').click();
  await page.getByText("The text:").click();
  await page.locator("#room-text [data-file]").setInputFiles(huge("huge.txt"));
  await assertRefused(page, "text", /huge\.txt has 500 MB; this page takes at most 5 MB/);
  await done();
});

test("a model file that is none, and one of another kind, are refused beside the input", async () => {
  const { page, done } = await visit(opened, "#/series");
  await page.locator("#room-series [data-model]").setInputFiles(file("model.safetensors", "not a model"));
  await assertRefused(page, "series", /./);
  const bytes = await page.evaluate(async () => {
    const { Client } = await import("./client.js");
    const client = new Client();
    await client.call("page.open", "cpu");
    await client.call("text.create", "to be or not to be, that is the question. ".repeat(60), { cell: "gru", hidden: 8, layers: 1, window: 8, batch: 4, learning_rate: 0.01, seed: 1 });
    const bytes = await client.call("text.model_file");
    client.close();
    return [...bytes];
  });
  await page.locator("#room-series [data-model]").setInputFiles({ name: "text.safetensors", mimeType: "text/plain", buffer: Buffer.from(bytes) });
  await page.locator("#room-series [data-problem]").getByText("not one of a series").waitFor();
  await trainTo(page, "series", 5);
  await done({ late: true });
});

const TEXTS = [
  ["one character", "a", /1 character,/],
  ["no character", "", /is empty/],
  ["one character over and over", "a".repeat(5000), /at least two different characters/],
];

for (const [what, text, expected] of TEXTS) {
  test(`a text of ${what} is refused beside the input`, async () => {
    const { page, done } = await visit(opened, "#/text");
    await page.getByText("The text:").click();
    await page.locator("#room-text [data-text]").fill(text);
    await page.locator("#room-text [data-do=use]").click();
    await assertRefused(page, "text", expected);
    await page.locator("#room-text [data-do=bundled]").click();
    await trainTo(page, "text", 3);
    assert.equal(await problem(page, "text").count(), 0);
    await done();
  });
}

test("bytes that are not UTF-8 are refused as a text", async () => {
  const { page, done } = await visit(opened, "#/text");
  await page.getByText("The text:").click();
  await page.locator("#room-text [data-file]").setInputFiles({ name: "latin.txt", mimeType: "text/plain", buffer: Buffer.from([0x61, 0xe9, 0x62, 0xff]) });
  await assertRefused(page, "text", /latin\.txt is not text in UTF-8/);
  await done();
});

test("an address with nonsense shows the defaults", async () => {
  const { page, done } = await visit(opened, "#/three-steps?activation=constructor&size=9&rate=NaN&term=<b>&device=toaster");
  await page.locator("#room-three-steps [data-verdict]").getByText("The loss is").waitFor();
  assert.equal(await page.locator("select[name=activation]").inputValue(), "tanh");
  assert.equal(await page.locator("#room-three-steps select[name=size]").inputValue(), "2");
  assert.equal(await page.locator("#room-three-steps input[name=rate] + output").innerText(), "0.5");
  await done();
});

test("a character that the text lacks is named beside the beginning that has it, and training goes on", async () => {
  const { page, done } = await visit(opened, "#/text?hidden=16");
  await page.locator("#room-text [data-do=run]").click();
  await page.locator("#room-text [data-prime]").fill("Ωmega");
  await page.locator("#room-text [data-do=sample]").click();
  const message = page.locator("#room-text [data-prime-problem]");
  await message.waitFor();
  assert.match(await message.innerText(), /Ω/);
  assert.equal(await page.locator("#room-text [data-do=run]").innerText(), "Pause");
  await page.locator("#room-text [data-prime]").fill("Shall");
  await page.locator("#room-text [data-do=sample]").click();
  await message.waitFor({ state: "hidden" });
  await done();
});

test("a refused table and a refused text leave nothing of the network before, and no button that does nothing", async () => {
  const { page, done } = await visit(opened, "#/series");
  await page.locator("#room-series [data-verdict]").getByText("RMSE").waitFor();
  const rows = Array.from({ length: 60 }, (_, i) => `${i},7`).join("\n");
  // Its name is a word of the GPU's errors.
  await page.locator("#room-series [data-csv]").setInputFiles(file("constant.csv", `t,lost\n${rows}\n`));
  await assertRefused(page, "series", /lost/);
  assert.ok(await page.locator("#alarm").isHidden(), "the GPU is not blamed");
  for (const part of ["[data-verdict]", "[data-picture=forecast]", "[data-picture=loss]", "[data-caption]"]) {
    assert.equal(await page.locator(`#room-series ${part}`).evaluate((node) => getComputedStyle(node).visibility), "hidden", part);
  }
  for (const name of ["run", "download"]) assert.ok(await page.locator(`#room-series [data-do=${name}]`).isDisabled(), name);
  await page.locator("#room-series [data-do=sunspots]").click();
  await page.locator("#room-series [data-do=download]:enabled").waitFor();
  assert.equal(await page.locator("#room-series [data-verdict]").evaluate((node) => getComputedStyle(node).visibility), "visible");
  await page.locator('[data-room="text"]').click();
  await page.locator("#room-text [data-do=sample]:enabled").waitFor();
  await page.getByText("The text:").click();
  await page.locator("#room-text [data-text]").fill("short");
  await page.locator("#room-text [data-do=use]").click();
  await assertRefused(page, "text", /longer text/);
  assert.equal(await page.locator("#room-text [data-sample]").evaluate((node) => getComputedStyle(node).visibility), "hidden");
  for (const name of ["run", "sample", "download"]) assert.ok(await page.locator(`#room-text [data-do=${name}]`).isDisabled(), name);
  await done();
});

test("a seed that is none is told of, and the one before is kept", async () => {
  const { page, done } = await visit(opened, "#/through-time?seed=1.5&length=10&hidden=8");
  const seed = page.locator("#room-through-time input[name=seed]");
  await page.locator("#room-through-time [data-networks] tr").nth(3).waitFor();
  assert.equal(await seed.inputValue(), "1");
  assert.doesNotMatch(page.url(), /seed/);
  await seed.fill("7");
  await page.waitForFunction(() => location.hash.includes("seed=7"));
  await seed.fill("-3");
  await assertRefused(page, "through-time", /^Seed: expected a whole number from 1 to 9999, got -3\.$/);
  await seed.press("Tab");
  assert.equal(await seed.inputValue(), "7");
  await page.locator("#room-through-time [data-do=reset]").click();
  await problem(page, "through-time").waitFor({ state: "hidden" });
  await trainTo(page, "through-time", 5);
  assert.match(page.url(), /seed=7/);
  await done();
});

test("a weight beyond all bounds is refused beside the table, and the one before is put back", async () => {
  const { page, done } = await visit(opened, "#/three-steps");
  await page.getByText("Weights and their gradients").click();
  const weight = page.getByLabel("w hh, row 1, column 2");
  await weight.fill("1e9");
  await weight.press("Tab");
  await assertRefused(page, "three-steps", /w_hh: expected -1000000 to 1000000/);
  assert.equal(await weight.inputValue(), "-0.875");
  await page.getByRole("button", { name: "One update" }).click();
  await page.getByText("After one update").waitFor();
  assert.equal(await problem(page, "three-steps").count(), 0);
  await done();
});

test("labels that are all alike have places of their own in the picture", async () => {
  const { page, done } = await visit(opened, "#/series?window=8");
  const rows = Array.from({ length: 160 }, (_, i) => `a,${(10 + 5 * Math.sin(i / 3)).toFixed(3)}`);
  await page.locator("#room-series [data-csv]").setInputFiles(file("alike.csv", `label,wave\n${rows.join("\n")}\n`));
  await page.locator("#room-series [data-data-name]").getByText("alike.csv: 160 rows").waitFor();
  const places = () => page.locator("#room-series [data-picture=forecast] .curve.ink").evaluate((path) => {
    const across = path.getAttribute("d").split(/[ML]/).slice(1).map((point) => point.split(" ")[0]);
    return [across.length, new Set(across).size];
  });
  await page.waitForFunction(() => (document.querySelector("#room-series [data-picture=forecast] svg")?.getAttribute("aria-label") ?? "").includes("from a to a"));
  const [points, different] = await places();
  assert.ok(points > 40, `${points} points`);
  assert.equal(different, points);
  await done();
});

for (const [what, missing] of [["worker", "**/worker.js"], ["program", "**/bptt_web_bg.wasm"]]) {
  test(`where the ${what} cannot be loaded, the page offers to load again, and nothing that cannot help`, async () => {
    const page = await opened.browser.newPage();
    await page.route(missing, (route) => route.fulfill({ status: 404, body: "not found" }));
    await page.goto(`${opened.site.address}/#/series`);
    const offer = page.getByRole("button", { name: "Load the page again" });
    await offer.waitFor();
    await page.locator("#device summary").click();
    await page.getByLabel("CPU", { exact: true }).check();
    await page.waitForTimeout(300);
    assert.equal(await page.locator("#device-name").innerText(), "Not loaded");
    assert.deepEqual(await page.locator("#alarm button").allInnerTexts(), ["Load the page again"]);
    await page.keyboard.press("Escape");
    await page.unroute(missing);
    await offer.click();
    await page.locator(".lamp[data-kind=cpu]").waitFor();
    await page.close();
  });
}

test("without the sonnets, the text room says so and takes a text of the reader", async () => {
  const page = await opened.browser.newPage();
  await page.route("**/sonnets.txt", (route) => route.fulfill({ status: 404, body: "not found" }));
  await page.goto(`${opened.site.address}/#/text`);
  await assertRefused(page, "text", /The sonnets could not be loaded \(404\)/);
  await page.getByText("The text:").click();
  await page.locator("#room-text [data-text]").fill("to be or not to be, that is the question. ".repeat(60));
  await page.locator("#room-text [data-do=use]").click();
  await trainTo(page, "text", 3);
  await page.close();
});

test("a file that is dropped beside its place does not replace the page", async () => {
  const { page, done } = await visit(opened, "#/line");
  const prevented = await page.evaluate(() => ["dragover", "drop"].map((name) => {
    const event = new DragEvent(name, { bubbles: true, cancelable: true });
    document.querySelector("#room-line h1")?.dispatchEvent(event);
    return event.defaultPrevented;
  }));
  assert.deepEqual(prevented, [true, true]);
  await done();
});
