// Room 5 in a browser without WebGPU, and the way of a model from the page to the program and back.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { promisify } from "node:util";
import { losses, open, trainTo, visit } from "./browser.mjs";
import { assertNative } from "./native.mjs";

const run = promisify(execFile);
const PROGRAM = process.env.BPTT ?? "bptt";

/** @type {Awaited<ReturnType<typeof open>>} */
let opened;
let folder = "";
before(async () => {
  opened = await open({ gpu: false });
  folder = await mkdtemp(join(tmpdir(), "bptt-web-"));
});
after(async () => {
  await opened.close();
  await rm(folder, { recursive: true });
});

const ROOM = "#room-series";
const picture = (page) => page.locator(`${ROOM} [data-picture=forecast] svg`).getAttribute("aria-label");

/** The numbers of "The forecast for 2009 is 62.4, between 45.7 and 84.4." */
async function forecast(page) {
  const label = (await picture(page)) ?? "";
  const found = label.match(/forecast for (\S+) is (\S+), between (\S+) and (\S+)\.$/);
  assert.ok(found, label);
  return { label: found[1], median: Number(found[2]), low: Number(found[3]), high: Number(found[4]) };
}

async function sunspots(page) {
  const file = join(folder, "sunspots.csv");
  const csv = await page.evaluate(async () => {
    const { Client } = await import("./client.js");
    const client = new Client();
    const csv = await client.call("series.sunspots");
    client.close();
    return csv;
  });
  await writeFile(file, csv);
  return file;
}

/** What the program forecasts for the row after the last one. */
async function program(model, file) {
  const { stdout } = await run(PROGRAM, ["forecast", model, file, "--rows", "1", "--json", "--device", "cpu"]);
  const { quantiles, labels } = JSON.parse(stdout);
  const [low, median, high] = ["0.1", "0.5", "0.9"].map((quantile) => Object.values(quantiles[quantile])[0][0]);
  return { label: labels[0], low, median, high };
}

/** The page shows three significant digits. */
function assertSame(shown, exact) {
  assert.equal(shown.label, exact.label);
  for (const name of ["low", "median", "high"]) {
    assert.ok(Math.abs(shown[name] - exact[name]) <= 0.006 * Math.abs(exact[name]) + 0.006, `${name}: ${shown[name]} and ${exact[name]}`);
  }
}

test("without WebGPU the page computes on the CPU and says why", async () => {
  const { page, done } = await visit(opened, "#/series");
  assert.equal(await page.locator("#device-name").innerText(), "CPU");
  await page.locator("#device summary").click();
  assert.match(await page.locator("#device-note").innerText(), /computing on the CPU/);
  await done();
});

test("the sunspots are learned until the network beats the naive forecast", async () => {
  const { page, done } = await visit(opened, "#/series");
  await trainTo(page, "series", 300);
  await page.locator(`${ROOM} [data-verdict] .good`).waitFor();
  const verdict = await page.locator(`${ROOM} [data-verdict]`).innerText();
  assert.match(verdict, /the network wins by \d+ %\. \d+ % of the true values lie in its range/);
  const [{ first, last }] = await losses(page, "series");
  assert.ok(last < first, `${last} < ${first}`);
  await done();
});

test("the first 20 losses of the series on the CPU are those of the native CPU path", async () => {
  const { page, done } = await visit(opened, "#/line");
  await assertNative(page, "cpu", "series");
  await done({ late: true });
});

test("a model goes from the page to the program, and forecasts the same there", async () => {
  const { page, done } = await visit(opened, "#/series");
  await trainTo(page, "series", 100);
  // The last result is shown after training has stopped.
  await page.waitForTimeout(1500);
  const [download] = await Promise.all([page.waitForEvent("download"), page.locator(`${ROOM} [data-do=download]`).click()]);
  assert.equal(download.suggestedFilename(), "model.safetensors");
  const model = join(folder, "from-page.safetensors");
  await download.saveAs(model);
  assertSame(await forecast(page), await program(model, await sunspots(page)));
  await done({ late: true });
});

test("a model goes from the program to the page, and forecasts the same there", async () => {
  const { page, done } = await visit(opened, "#/series");
  const file = await sunspots(page);
  await run(PROGRAM, ["train", "series", file, "--epochs", "5", "--quantiles", "0.1,0.5,0.9", "--device", "cpu", "--out", join(folder, "run")], { cwd: folder });
  const model = join(folder, "run", "model.safetensors");
  await page.locator(`${ROOM} [data-model]`).setInputFiles(model);
  await page.locator(`${ROOM} [data-data-name]`).getByText("Model from model.safetensors").waitFor();
  await page.waitForTimeout(500);
  assertSame(await forecast(page), await program(model, file));
  const settings = page.locator(`${ROOM} :is(select, input[type=range])`);
  const enabled = () => settings.evaluateAll((fields) => fields.filter((field) => !field.disabled).length);
  assert.ok(await page.locator(`${ROOM} [data-do=run]`).isDisabled());
  assert.equal(await enabled(), 0);
  await page.locator(`${ROOM} [data-do=reset]`).click();
  await page.locator(`${ROOM} [data-do=run]:not([disabled])`).waitFor();
  assert.equal(await enabled(), await settings.count());
  await done({ late: true });
});

test("a CSV of the reader is forecast by the column that is chosen", async () => {
  const { page, done } = await visit(opened, "#/series?window=8");
  const rows = Array.from({ length: 160 }, (_, i) => `2001-${String(1 + Math.floor(i / 28)).padStart(2, "0")}-${String(1 + (i % 28)).padStart(2, "0")},${10 + 5 * Math.sin(i / 3)},${i}`);
  await page.locator(`${ROOM} [data-csv]`).setInputFiles({ name: "waves.csv", mimeType: "text/csv", buffer: Buffer.from(`day,wave,count\n${rows.join("\n")}\n`) });
  await page.locator(`${ROOM} [data-data-name]`).getByText("waves.csv: 160 rows").waitFor();
  assert.deepEqual(await page.locator(`${ROOM} select[name=target] option`).allInnerTexts(), ["wave", "count"]);
  await trainTo(page, "series", 50);
  assert.match((await picture(page)) ?? "", /Truth and forecast from 2001-/);
  await done();
});

test("the future is a curve of eleven rows from the last value, with a range that has an area", async () => {
  const { page, done } = await visit(opened, "#/series");
  await page.locator(`${ROOM} [data-picture=forecast] .curve`).first().waitFor({ state: "attached" });
  assert.match((await picture(page)) ?? "", /and of 11 rows after them\. The forecast for 2009 is/);
  const points = (selector, n) => page.locator(`${ROOM} [data-picture=forecast] ${selector}`).nth(n).evaluate((path) => path.getAttribute("d").replace("Z", "").split(/[ML]/).slice(1).map((point) => point.split(" ").map(Number)));
  const [truth, future, range] = [await points(".curve.ink", 0), await points(".curve.lstm", 1), await points(".band", 1)];
  assert.equal(future.length, 12);
  assert.deepEqual(future[0], truth.at(-1));
  const height = Math.max(...range.map(([, y]) => y)) - Math.min(...range.map(([, y]) => y));
  assert.ok(range.length === 24 && height > 5, `${range.length} corners, ${height} high`);
  await done();
});

test("a single point is drawn as a dot", async () => {
  const { page, done } = await visit(opened, "#/line");
  const path = await page.evaluate(async () => {
    const { Plot } = await import("./draw/plot.js");
    const host = document.createElement("div");
    document.body.append(host);
    new Plot(host, { x: "", y: "" }).draw({ x: [0, 3], y: [0, 1], curves: [{ points: [[0, 0.5], [1, NaN], [2, 0.5], [3, 1]] }], describe: "" });
    return host.querySelector(".curve")?.getAttribute("d");
  });
  assert.match(path ?? "", /^M[\d. ]+h0M[\d. ]+L[\d. ]+$/);
  await done({ late: true });
});

test("training on after the pause of 50 epochs, the note of the pause is gone", async () => {
  const { page, done } = await visit(opened, "#/series?hidden=4&window=2");
  const [run, note] = [page.locator(`${ROOM} [data-do=run]`), page.locator(`${ROOM} [data-note]`)];
  await run.click();
  await note.getByText("Paused after 50 epochs").waitFor();
  assert.equal(await run.innerText(), "Train");
  await run.click();
  await note.getByText("Paused after").waitFor({ state: "hidden" });
  await run.click();
  await done();
});

test("the data are on offer for the program, and a name with spaces is quoted for its shell", async () => {
  const { page, done } = await visit(opened, "#/series");
  const data = page.locator(`${ROOM} [data-do=data]`);
  await page.locator(`${ROOM} [data-verdict]`).getByText("RMSE").waitFor();
  const [download] = await Promise.all([page.waitForEvent("download"), data.click()]);
  assert.equal(download.suggestedFilename(), "sunspots.csv");
  const rows = Array.from({ length: 160 }, (_, i) => `${i},${(10 + 5 * Math.sin(i / 3)).toFixed(3)}`);
  await page.locator(`${ROOM} [data-csv]`).setInputFiles({ name: "my waves.csv", mimeType: "text/csv", buffer: Buffer.from(`t,wave\n${rows.join("\n")}\n`) });
  await page.locator(`${ROOM} [data-command]`).getByText("bptt forecast model.safetensors 'my waves.csv'", { exact: true }).waitFor();
  assert.equal(await data.innerText(), "Download my waves.csv");
  await done();
});

test("the learning rate of a series changes without a new network", async () => {
  const { page, done } = await visit(opened, "#/series");
  await trainTo(page, "series", 60);
  await page.waitForTimeout(300);
  const before = (await losses(page, "series"))[0].step;
  await page.locator(`${ROOM} input[name=rate]`).focus();
  await page.keyboard.press("ArrowLeft");
  await page.waitForTimeout(400);
  assert.equal((await losses(page, "series"))[0].step, before);
  await trainTo(page, "series", before + 10);
  await done();
});

test("while the largest table is measured, the page answers and another setting ends it", async () => {
  const { page, done } = await visit(opened, "#/series?window=20&hidden=16");
  const rows = Array.from({ length: 60_000 }, (_, i) => `${i},${(10 + 5 * Math.sin(i / 3)).toFixed(3)}`);
  await page.locator(`${ROOM} [data-csv]`).setInputFiles({ name: "long.csv", mimeType: "text/csv", buffer: Buffer.from(`t,wave\n${rows.join("\n")}\n`) });
  await page.locator(`${ROOM} [data-data-name]`).getByText("long.csv: 60\u2009000 rows").waitFor();
  // Null: the evaluation of the first network was given up.
  const given = await page.evaluate(async () => {
    const { Client } = await import("./client.js");
    const client = new Client();
    await client.call("page.open", "cpu");
    const csv = new TextEncoder().encode(`t,v\n${Array.from({ length: 60_000 }, (_, i) => `${i},${Math.sin(i / 3).toFixed(3)}`).join("\n")}\n`);
    const create = () => client.call("series.create", csv, { target: "v", window: 20, horizon: 1, cell: "lstm", hidden: 32, learning_rate: 0.01, seed: 1, quantiles: [0.1, 0.5, 0.9] });
    await create();
    const results = client.call("series.results", 11);
    const { made } = await create();
    const given = [await results, made];
    client.close();
    return given;
  });
  assert.deepEqual(given, [null, true]);
  await done({ late: true });
});
