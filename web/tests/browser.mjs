// Chromium for the tests: with WebGPU on SwiftShader, or with WebGPU switched off; and what a page must never do.
import assert from "node:assert/strict";
import { chromium } from "playwright-core";
import { serve } from "./server.mjs";

const EXECUTABLE = process.env.CHROMIUM ?? "/usr/bin/chromium";
const GPU = ["--enable-unsafe-webgpu", "--use-webgpu-adapter=swiftshader", "--enable-features=Vulkan"];
// Without these flags headless Chromium has no adapter, as a browser without WebGPU.
const NO_GPU = ["--disable-features=WebGPU"];

/** The site on a port of its own, and a browser. @param {{gpu: boolean}} options */
export async function open({ gpu }) {
  const site = await serve();
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args: ["--no-sandbox", ...(gpu ? GPU : NO_GPU)], headless: true });
  const close = async () => {
    await browser.close();
    await site.close();
  };
  return { site, browser, gpu, close };
}

/**
 * A page at a room, which fails the test on an error of the console and on a request that leaves the site or comes late.
 * @param {Awaited<ReturnType<typeof open>>} opened @param {string} address Such as `#/line` @param {object} [options] Of playwright's newPage
 */
export async function visit(opened, address, options = {}) {
  const page = await opened.browser.newPage({ viewport: { width: 1280, height: 800 }, acceptDownloads: true, ...options });
  page.setDefaultTimeout(60_000);
  const problems = [];
  const requests = [];
  page.on("console", (message) => message.type() === "error" && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(`${opened.site.address}/${address}`);
  await page.locator(".lamp[data-kind=gpu], .lamp[data-kind=cpu]").first().waitFor({ state: "attached" });
  const loaded = requests.length;
  const done = async ({ late = false } = {}) => {
    assert.deepEqual(problems, [], "the console has no error");
    const away = requests.filter((url) => !url.startsWith(opened.site.address) && !/^(data|blob):/.test(url));
    assert.deepEqual(away, [], "no request leaves the site");
    const after = requests.slice(loaded).filter((url) => !/^(data|blob):/.test(url));
    if (!late) assert.deepEqual(after, [], "nothing is requested after loading");
    await page.close();
  };
  return { page, problems, requests, done };
}

/** Trains until the loss curve of a room names a step of at least `steps`. */
export async function trainTo(page, room, steps) {
  const section = page.locator(`#room-${room}`);
  await section.locator("[data-do=run]").click();
  await page.waitForFunction(
    ([selector, steps]) => {
      const label = document.querySelector(selector)?.getAttribute("aria-label") ?? "";
      const reached = [...label.matchAll(/at step (\d+)/g)].map((match) => Number(match[1]));
      return reached.length > 0 && Math.min(...reached) >= steps;
    },
    [`#room-${room} [data-picture=loss] svg`, steps],
    { timeout: 120_000 },
  );
  await section.locator("[data-do=run]").click();
}

/** First and last loss that the loss picture describes, by name of the curve. */
export async function losses(page, room) {
  const label = await page.locator(`#room-${room} [data-picture=loss] svg`).getAttribute("aria-label");
  const found = [...(label ?? "").matchAll(/(?:: |; )(.+?) from (\S+) to (\S+) at step (\d+)/g)];
  return found.map(([, name, first, last, step]) => ({ name, first: Number(first), last: Number(last), step: Number(step) }));
}
