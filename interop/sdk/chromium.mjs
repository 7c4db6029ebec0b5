// Headless Chromium from the system's packages, by its own protocol over a WebSocket. Used by `browser.mjs`.

import { accessSync, constants } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { WebSocket } from "ws";
import { stop, watch } from "./processes.mjs";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const ANSWER_MS = 60_000; // a cold start of the browser on two busy cores

/** Where a Chromium is, or undefined. */
export function findChromium() {
  const places = (process.env.PATH ?? "").split(delimiter).flatMap((folder) => NAMES.map((name) => join(folder, name)));
  return places.find((place) => {
    try {
      accessSync(place, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Opens `url`, waits for the promise `expression` there, and takes a picture. Resolves with what the promise gives. */
export async function look(chromium, url, expression, picture) {
  const profile = await mkdtemp(join(tmpdir(), "farebox-chromium-"));
  // Root has no sandbox to go into; nothing but our own page is opened.
  const args = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--window-size=900,900"];
  const debugging = ["--remote-debugging-port=0", `--user-data-dir=${profile}`, "about:blank"];
  const { child, ready } = await watch(chromium, [...args, ...debugging], (line) => line.match(/^DevTools listening on (ws:\S+)$/)?.[1]);
  try {
    const browser = await connect(ready);
    const { targetId } = await browser.ask("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await browser.ask("Target.attachToTarget", { targetId, flatten: true });
    // It answers when the page has replaced the blank one.
    await browser.ask("Page.navigate", { url }, sessionId);
    const result = await settled(browser, sessionId, expression);
    const { data } = await browser.ask("Page.captureScreenshot", { format: "png" }, sessionId);
    await writeFile(picture, Buffer.from(data, "base64"));
    browser.close();
    return result;
  } finally {
    await stop(child);
    await rm(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** The page may not have run its script yet: the promise is waited for inside the page. */
async function settled(browser, sessionId, expression) {
  const there = `new Promise((resolve) => {
    const look = () => (${expression} === undefined ? setTimeout(look, 50) : resolve(${expression}));
    look();
  })`;
  const { result, exceptionDetails } = await browser.ask(
    "Runtime.evaluate", { expression: there, awaitPromise: true, returnByValue: true }, sessionId,
  );
  if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
  return result.value;
}

/** Questions and answers by number. */
async function connect(url) {
  const socket = new WebSocket(url);
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject));
  const waiting = new Map();
  socket.on("message", (bytes) => {
    const { id, result, error } = JSON.parse(bytes);
    const waits = waiting.get(id);
    waiting.delete(id);
    if (error) waits?.reject(new Error(error.message));
    else waits?.resolve(result);
  });
  let last = 0;
  const ask = (method, params = {}, sessionId = undefined) => new Promise((resolve, reject) => {
    last += 1;
    waiting.set(last, { resolve, reject });
    setTimeout(() => reject(new Error(`${method}: nothing after ${ANSWER_MS} ms`)), ANSWER_MS).unref();
    socket.send(JSON.stringify({ id: last, method, params, sessionId }));
  });
  return { ask, close: () => socket.close() };
}
