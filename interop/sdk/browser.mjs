// A page of another origin pays at our gate with `@x402/fetch`, in a real browser. Called by `main.mjs`.

import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { keyOf, NETWORK } from "./chains.mjs";
import { findChromium, look } from "./chromium.mjs";
import { startUpstream } from "./official.mjs";
import { assertPaid, assertReceipt, PAGE, PRICE, startOurs } from "./parties.mjs";
import { stop } from "./processes.mjs";
import { check, skip } from "./report.mjs";

const PAGE_FOLDER = new URL("../browser/", import.meta.url);
const PICTURES = fileURLToPath(new URL("../.work/", import.meta.url));

/** The page on a free port of loopback. */
async function startPage() {
  const bundled = await build({
    entryPoints: [fileURLToPath(new URL("app.js", PAGE_FOLDER))], bundle: true, format: "esm", write: false, minify: true,
  });
  const files = {
    "/": ["text/html", await readFile(new URL("index.html", PAGE_FOLDER))],
    "/app.js": ["text/javascript", bundled.outputFiles[0].contents],
  };
  const server = createServer((request, response) => {
    const [type, bytes] = files[request.url.split("?")[0]] ?? [];
    response.writeHead(type ? 200 : 404, type ? { "content-type": type } : {}).end(bytes);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const close = () => new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
  return { origin: `http://127.0.0.1:${server.address().port}`, close };
}

/** Our gate with these lines about pages. */
async function startGate(binary, folder, upstream, cors) {
  const seller = await readFile(join(folder, "seller.toml"), "utf8");
  const route = `\n[[route]]\nmatch = "/*"\nupstream = "${upstream.url}"\nprice = "0.001 USD"\n`;
  const file = join(folder, "pages.toml");
  await writeFile(file, seller + cors + route);
  return startOurs(binary, ["gate", "--config", file]);
}

/** Opens the page and lets it buy. */
async function visit(chromium, page, gate, picture) {
  const asked = new URLSearchParams({ gate: gate.ready, network: NETWORK, key: keyOf(PAGE) });
  await mkdir(PICTURES, { recursive: true });
  return look(chromium, `${page.origin}/?${asked}`, "window.bought", join(PICTURES, picture));
}

/** All checks with a browser; without one, a line that says so. */
export async function browser(chain, rpc, binary, folder) {
  const chromium = findChromium();
  if (!chromium) return skip(`${chain}: a page in a browser pays`, "no Chromium");
  const [page, upstream] = [await startPage(), await startUpstream()];
  try {
    await check(`${chain}: a page of another origin reads the 402, pays with @x402/fetch in Chromium, and reads body and receipt`, async () => {
      const gate = await startGate(binary, folder, upstream, "");
      const { error, challenge, paid } = await visit(chromium, page, gate, "paid.png").finally(() => stop(gate.child));
      assert.equal(error, undefined);
      assert.deepEqual(challenge, { status: 402, amount: PRICE.toString(), inBody: 1 });
      assert.equal(paid.status, 200);
      assert.deepEqual(paid.body, { path: "/weather?city=Oslo", method: "POST", body: "{}" });
      assertReceipt(paid.receipt);
      await assertPaid(rpc, paid.receipt.transaction, PAGE);
    });
    await check(`${chain}: a page that is listed pays at our gate in Chromium`, async () => {
      const gate = await startGate(binary, folder, upstream, `\n[cors]\norigins = ["${page.origin}"]\ncredentials = true\n`);
      const { error, paid } = await visit(chromium, page, gate, "listed.png").finally(() => stop(gate.child));
      assert.equal(error, undefined);
      assertReceipt(paid.receipt);
      await assertPaid(rpc, paid.receipt.transaction, PAGE);
    });
    await check(`${chain}: a page that is not listed reads nothing of our gate in Chromium, and pays nothing`, async () => {
      const before = upstream.seen.requests;
      const gate = await startGate(binary, folder, upstream, '\n[cors]\norigins = ["https://app.example"]\n');
      const { error } = await visit(chromium, page, gate, "refused.png").finally(() => stop(gate.child));
      assert.match(error, /TypeError: Failed to fetch/);
      assert.equal(upstream.seen.requests, before);
    });
  } finally {
    await Promise.all([page.close(), upstream.close()]);
  }
}
