// Bad input: a message beside the input, and a page that goes on.
import assert from "node:assert/strict";
import { mkdtemp, open as openFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { open, trainTo, visit } from "./browser.mjs";

/** @type {Awaited<ReturnType<typeof open>>} */
let opened;
let huge = "";
let folder = "";
before(async () => {
  opened = await open({ gpu: false });
  folder = await mkdtemp(join(tmpdir(), "bptt-web-"));
  // 500 MB that take no disk.
  huge = join(folder, "huge.csv");
  const file = await openFile(huge, "w");
  await file.truncate(500e6);
  await file.close();
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
  for (const kind of ["csv", "model"]) {
    await page.locator(`#room-series [data-${kind}]`).setInputFiles(huge);
    await assertRefused(page, "series", /huge\.csv has 500 MB; this page takes at most/);
  }
  await page.locator('[data-room="text"]').click();
  await page.getByText("The text:").click();
  await page.locator("#room-text [data-file]").setInputFiles(huge);
  await assertRefused(page, "text", /huge\.csv has 500 MB; this page takes at most 5 MB/);
  await done();
});

test("a model file that is none, and one of another kind, are refused beside the input", async () => {
  const { page, done } = await visit(opened, "#/series");
  await page.locator("#room-series [data-model]").setInputFiles(file("model.safetensors", "not a model"));
  await assertRefused(page, "series", /./);
  const bytes = await page.evaluate(async () => {
    const { Client } = await import("./client.js");
    const client = new Client();
    await client.call("device.open", "cpu");
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

const TEXTS = [["one character", "a"], ["no character", ""], ["one character over and over", "a".repeat(5)]];

for (const [what, text] of TEXTS) {
  test(`a text of ${what} is refused beside the input`, async () => {
    const { page, done } = await visit(opened, "#/text");
    await page.getByText("The text:").click();
    await page.locator("#room-text [data-text]").fill(text);
    await page.locator("#room-text [data-do=use]").click();
    await assertRefused(page, "text", /./);
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
