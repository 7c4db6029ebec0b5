// Our gate obtains, keeps and renews certificates of pebble, the ACME server of Let's Encrypt for tests. Called by
// `main.mjs`. Pebble refuses a part of all nonces, as it does by default, and looks for every proof.

import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { request } from "node:https";
import { join } from "node:path";
import { connect } from "node:tls";
import { startUpstream } from "./official.mjs";
import { assertPaid, OURS } from "./parties.mjs";
import { freePort, jsonLine, run, serve, stop } from "./processes.mjs";
import { check, skip } from "./report.mjs";

const NAMES = ["localhost", "gate.farebox.test"]; // one that the system resolves, one that only the DNS below knows
const LONG_S = 90 * 24 * 3600;
const SHORT_S = 60; // renewed somewhere before its last five seconds
const PATIENCE_MS = 120_000;

/** Answers every name with 127.0.0.1. */
async function startDns(tools) {
  const [dns, management] = [await freePort(), await freePort()];
  const args = ["-dnsserver", `127.0.0.1:${dns}`, "-management", `127.0.0.1:${management}`, "-defaultIPv6", "",
    "-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", ""];
  const { child } = await serve(join(tools, "pebble-challtestsrv"), args, (line) => /Starting management server|Starting challenge servers/.test(line));
  return { child, address: `127.0.0.1:${dns}` };
}

/** A certificate authority whose certificates live so long, and that looks for proofs on these ports. */
async function startPebble(tools, folder, dns, lifeSeconds, tlsPort, httpPort) {
  const [port, management] = [await freePort(), await freePort()];
  const config = {
    pebble: {
      listenAddress: `127.0.0.1:${port}`, managementListenAddress: `127.0.0.1:${management}`,
      certificate: join(tools, "cert.pem"), privateKey: join(tools, "key.pem"), httpPort, tlsPort,
      ocspResponderURL: "", externalAccountBindingRequired: false, keyAlgorithm: "ecdsa",
      profiles: { default: { description: "the only one", validityPeriod: lifeSeconds } },
    },
  };
  const file = join(folder, `pebble-${port}.json`);
  await writeFile(file, JSON.stringify(config));
  const seen = { orders: 0, suggestions: 0 };
  const args = ["PEBBLE_VA_NOSLEEP=1", join(tools, "pebble"), "-config", file, "-dnsserver", dns.address];
  const { child } = await serve("env", args, (line) => {
    if (/There are now \d+ orders/.test(line)) seen.orders += 1;
    if (/renewalInfo/.test(line) && /GET/.test(line)) seen.suggestions += 1;
    return /ACME directory available/.test(line);
  });
  const root = join(folder, `root-${port}.pem`);
  const ca = await readFile(join(tools, "pebble.minica.pem"));
  await eventually("pebble answers", async () => {
    const pem = await get(`https://localhost:${management}/roots/0`, ca).catch(() => undefined);
    if (pem) await writeFile(root, pem);
    return pem;
  });
  return { child, seen, root, directory: `https://localhost:${port}/dir`, ca: join(tools, "pebble.minica.pem") };
}

function get(url, ca) {
  return new Promise((resolve, reject) => {
    const asked = request(url, { ca }, (answer) => {
      let text = "";
      answer.on("data", (bytes) => (text += bytes)).on("end", () => (answer.statusCode === 200 ? resolve(text) : reject(new Error(text))));
    });
    asked.once("error", reject).end();
  });
}

async function eventually(what, isSo) {
  const until = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await isSo();
    if (found) return found;
    assert.ok(Date.now() < until, `it did not come to pass: ${what}`);
    await new Promise((done) => setTimeout(done, 100));
  }
}

/** The certificate that the gate shows to a client who trusts pebble; `undefined` while there is none. */
async function shown(port, servername, root) {
  const ca = await readFile(root);
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, servername, ca }, () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.end();
    });
    socket.once("error", () => resolve(undefined));
  });
}

/** A connection that stays open; `ask` sends one more request on it and gives the status. */
async function keptOpen(port, root) {
  const ca = await readFile(root);
  const socket = connect({ host: "127.0.0.1", port, servername: NAMES[0], ca });
  await new Promise((resolve, reject) => socket.once("secureConnect", resolve).once("error", reject));
  const ask = () => new Promise((resolve, reject) => {
    let text = "";
    const hear = (bytes) => {
      text += bytes;
      const [head, body] = text.split("\r\n\r\n");
      const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
      if (body === undefined || body.length < length) return;
      socket.off("data", hear).off("close", dropped);
      resolve(Number(head.split(" ")[1]));
    };
    const dropped = () => reject(new Error("the connection was dropped"));
    socket.on("data", hear).once("close", dropped);
    socket.write(`GET /weather HTTP/1.1\r\nhost: ${NAMES[0]}\r\n\r\n`);
  });
  return { ask, close: () => socket.destroy() };
}

/** Our gate on this port with a certificate of this authority, in a data directory of its own. */
async function startGate(binary, folder, upstream, pebble, port, more, data) {
  const seller = await readFile(join(folder, "seller.toml"), "utf8");
  const names = NAMES.map((name) => `"${name}"`).join(", ");
  const tls = `[tls]\n${more.redirect ?? ""}\n[tls.acme]\ndomains = [${names}]\ncontact = ["mailto:ops@farebox.test"]\n`
    + `accept_terms = true\ndirectory = "${pebble.directory}"\nca = "file:${pebble.ca}"\n${more.challenge ?? ""}\n`;
  const file = join(folder, `acme-${port}.toml`);
  await writeFile(file, `public_url = "https://localhost:${port}"\n${seller.replace("seller.db", `acme-${port}.db`)}\n${tls}`);
  const args = ["gate", "--config", file, "--data-dir", data, "--upstream", upstream.url, "--price", "0.001 USD",
    "--listen", `127.0.0.1:${port}`, "--json"];
  return serve(binary, args, (line) => jsonLine(line)?.listening);
}

/** A paid request over the certificate, by a buyer who trusts pebble and nobody else. */
async function buy(binary, folder, rpc, port, root) {
  const args = [`SSL_CERT_FILE=${root}`, binary, "fetch", "--json", "--new", "--config", join(folder, "buyer.toml"), `https://localhost:${port}/weather`];
  const { exit, stdout, stderr } = await run("env", args);
  assert.equal(exit, 0, `${stdout}${stderr}`);
  await assertPaid(rpc, JSON.parse(stdout).payment.transaction, OURS);
}

async function obtained(chain, rpc, binary, folder, tools, dns, upstream) {
  const port = await freePort();
  const pebble = await startPebble(tools, folder, dns, LONG_S, port, await freePort());
  const data = join(folder, `data-${port}`);
  await mkdir(data, { mode: 0o700 });
  let gate = await startGate(binary, folder, upstream, pebble, port, {}, data);
  let first;
  await check(`${chain}: our gate obtains a certificate of pebble by tls-alpn-01 for every name`, async () => {
    first = await eventually("a certificate", () => shown(port, NAMES[0], pebble.root));
    assert.equal(await shown(port, NAMES[1], pebble.root), first);
    assert.equal(pebble.seen.orders, 1);
  });
  await check(`${chain}: farebox fetch pays at our gate over the certificate of pebble`, () => buy(binary, folder, rpc, port, pebble.root));
  await stop(gate.child);
  await check(`${chain}: a restart of our gate orders nothing of pebble`, async () => {
    gate = await startGate(binary, folder, upstream, pebble, port, {}, data);
    assert.equal(await shown(port, NAMES[0], pebble.root), first);
    await eventually("pebble is asked when to renew", () => pebble.seen.suggestions > 1);
    assert.equal(pebble.seen.orders, 1);
  });
  await stop(gate.child);
  await stop(pebble.child);
}

async function renewed(chain, rpc, binary, folder, tools, dns, upstream) {
  const [port, clear] = [await freePort(), await freePort()];
  const pebble = await startPebble(tools, folder, dns, SHORT_S, await freePort(), clear);
  const data = join(folder, `data-${port}`);
  await mkdir(data, { mode: 0o700 });
  const more = { redirect: `redirect_from = "127.0.0.1:${clear}"`, challenge: 'challenge = "http-01"' };
  const gate = await startGate(binary, folder, upstream, pebble, port, more, data);
  await check(`${chain}: our gate obtains a certificate of pebble by http-01 and renews it without dropping a connection`, async () => {
    const first = await eventually("a certificate", () => shown(port, NAMES[0], pebble.root));
    const open = await keptOpen(port, pebble.root);
    await eventually("another certificate", async () => {
      assert.equal(await open.ask(), 402);
      const now = await shown(port, NAMES[0], pebble.root);
      return now && now !== first;
    });
    assert.equal(await open.ask(), 402);
    open.close();
    assert.ok(pebble.seen.suggestions > 0, "pebble was asked when to renew");
  });
  await check(`${chain}: farebox fetch pays at our gate over the renewed certificate`, () => buy(binary, folder, rpc, port, pebble.root));
  await stop(gate.child);
  await stop(pebble.child);
}

/** All checks with pebble, which `interop/run` leaves in `tools`; without it, a line that says so. */
export async function acme(chain, rpc, binary, folder, tools) {
  if (!tools || !existsSync(join(tools, "pebble"))) return skip(`${chain}: our gate obtains a certificate of pebble`, "no Go to build pebble with");
  const [dns, upstream] = [await startDns(tools), await startUpstream()];
  try {
    await obtained(chain, rpc, binary, folder, tools, dns, upstream);
    await renewed(chain, rpc, binary, folder, tools, dns, upstream);
  } finally {
    await upstream.close();
    await stop(dns.child);
  }
}
