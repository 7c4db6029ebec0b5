// L402 over real Lightning nodes: aperture and its peers sell to us and buy from us, with lnd on both sides. Called by
// `main.mjs`.

import assert from "node:assert/strict";
import { mkdir, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { fetchWithL402 } from "@getalby/lightning-tools/402/l402";
import { importMacaroon } from "macaroon";
import { localMsat, pay, startLightning, until } from "./lightning.mjs";
import { startUpstream } from "./official.mjs";
import { startOurs } from "./parties.mjs";
import { freePort, run, serve, stop } from "./processes.mjs";
import { check, skip } from "./report.mjs";

const PRICE_SAT = 7n;
const MSAT = 1_000n;
const USD_PER_BTC = 60_000; // 7 sat = 0.0042 USD
const FEE_MSAT_MAX = 1_000n; // of a direct channel: nothing

/** What a client of L402 pays with: an lnd. */
const walletOf = (node) => ({ payInvoice: async ({ invoice }) => ({ preimage: await pay(node, invoice) }) });

/** Aperture in front of `upstream`, at a fixed price, paid through `node`. */
async function startAperture(tools, folder, node, upstream) {
  await mkdir(folder, { recursive: true });
  const port = await freePort();
  const config = `listenaddr: "127.0.0.1:${port}"
insecure: true
basedir: "${folder}"
debuglevel: "info"
dbbackend: "sqlite"
invoicebatchsize: 1000
authenticator:
  network: "regtest"
  lndhost: "127.0.0.1:${node.ports.rpc}"
  tlspath: "${node.certPath}"
  macdir: "${join(node.folder, "data/chain/bitcoin/regtest")}"
services:
  - name: "weather"
    hostregexp: ".*"
    pathregexp: "^/.*$"
    address: "${new URL(upstream).host}"
    protocol: http
    auth: "on"
    price: ${PRICE_SAT}
`;
  await writeFile(join(folder, "aperture.yaml"), config);
  const ready = (line) => /Starting the server/.test(line);
  const { child } = await serve(join(tools, "aperture"), [
    `--configfile=${join(folder, "aperture.yaml")}`, `--sqlite.dbfile=${join(folder, "aperture.db")}`,
  ], ready);
  // It says so before it listens.
  await until("aperture listens", () => connects(port));
  return { child, url: `http://127.0.0.1:${port}` };
}

function connects(port) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
  });
}

/** The files of a seller and a buyer of ours, each with a node of its own. */
async function writeFiles(folder, seller, buyer) {
  const network = ({ url, macaroonPath, certPath }) => `[network."lightning:regtest"]
node = { kind = "lnd", url = "${url}", macaroon = "file:${macaroonPath}", cert = "file:${certPath}" }
[rates]
"BTC/USD" = { fixed = "${USD_PER_BTC}" }
`;
  const budget = `[budget]\nper_payment = "0.05 USD"\nper_day = "1 USD"\ntotal = "1 USD"\n`;
  await writeFile(join(folder, "l402-seller.toml"), `ledger = "sqlite:l402-seller.db"\n${network(seller)}[l402]\nmaster_key = "file:l402.key"\n`);
  await writeFile(join(folder, "l402-buyer.toml"), `ledger = "sqlite:l402-buyer.db"\n${network(buyer)}${budget}`);
}

/** `farebox fetch` by the buyer's file: its exit code and its one object. */
async function ourFetch(binary, folder, args) {
  const { exit, stdout, stderr } = await run(binary, ["fetch", "--config", join(folder, "l402-buyer.toml"), "--json", ...args]);
  assert.ok(stdout.startsWith("{"), `fetch prints one object: exit ${exit}, ${stderr.trim()}`);
  return { exit, answer: JSON.parse(stdout) };
}

/** What `body` costs the buyer's node, in millisatoshi. */
async function costOf({ buyer }, body) {
  const before = await localMsat(buyer);
  await body();
  return before - (await localMsat(buyer));
}

/** Peers among themselves: if these fail, the fault is not ours. */
async function controls(net, aperture) {
  await check("lightning: control: @getalby/lightning-tools buys from aperture, paid by lnd", async () => {
    const cost = await costOf(net, async () => {
      const answer = await fetchWithL402(`${aperture.url}/weather`, {}, { wallet: walletOf(net.buyer) });
      assert.equal(answer.status, 200);
    });
    assert.equal(cost, PRICE_SAT * MSAT);
  });
}

/** Our buyer pays aperture. */
async function fromAperture(net, aperture, binary, folder) {
  await check("lightning: farebox fetch buys from aperture, paid by lnd", async () => {
    const cost = await costOf(net, async () => {
      const { exit, answer } = await ourFetch(binary, folder, [`${aperture.url}/weather`]);
      assert.equal(exit, 0, JSON.stringify(answer.error));
      assert.equal(answer.status, 200);
      assert.equal(answer.payment.state, "settled", JSON.stringify(answer.payment));
      assert.equal(answer.payment.protocol, "l402");
      assert.equal(answer.payment.amount.atomic, (PRICE_SAT * MSAT).toString());
    });
    assert.ok(cost >= PRICE_SAT * MSAT && cost <= PRICE_SAT * MSAT + FEE_MSAT_MAX, `paid ${cost} msat`);
  });
  await check("lightning: a token of aperture's is used again and not paid again", async () => {
    const cost = await costOf(net, async () => {
      const { exit, answer } = await ourFetch(binary, folder, [`${aperture.url}/weather`]);
      assert.equal(exit, 0, JSON.stringify(answer.error));
      assert.equal(answer.status, 200);
    });
    assert.equal(cost, 0n);
  });
  await check("lightning: farebox fetch --dry-run quotes aperture from its invoice and pays nothing", async () => {
    const cost = await costOf(net, async () => {
      const { exit, answer } = await ourFetch(binary, folder, ["--dry-run", "--new", `${aperture.url}/other`]);
      assert.equal(exit, 0, JSON.stringify(answer.error));
      assert.deepEqual(answer.offers.map(({ protocol, rail, payable }) => [protocol, rail, payable]), [["l402", "lightning", true]]);
    });
    assert.equal(cost, 0n);
  });
}

/** Official clients and libraries at our gate, which is paid through lnd. */
async function fromOurGate(net, binary, folder, upstream) {
  const args = ["gate", "--config", join(folder, "l402-seller.toml"), "--upstream", upstream.url, "--price", `${PRICE_SAT} sat`];
  const gate = await startOurs(binary, args);
  const url = `${gate.ready}/weather`;
  let paid;
  await check("lightning: @getalby/lightning-tools buys from our gate, paid by lnd", async () => {
    const cost = await costOf(net, async () => {
      const answer = await fetchWithL402(url, {}, { wallet: walletOf(net.buyer) });
      assert.equal(answer.status, 200);
      paid = answer.payment;
    });
    assert.equal(cost, PRICE_SAT * MSAT);
  });
  await check("lightning: the credential of one request buys no second one", async () => {
    const before = upstream.seen.requests;
    const again = await fetch(url, { headers: { authorization: paid.credentials.value } });
    assert.equal(again.status, 402);
    assert.equal(upstream.seen.requests, before);
  });
  await check("lightning: npm macaroon reads our token, and what it narrows still opens the gate", async () => {
    const [challenge] = (await fetch(url)).headers.get("www-authenticate").split(", LSAT ");
    const [, token, invoice] = /^L402 macaroon="([^"]+)", invoice="([^"]+)"/.exec(challenge);
    const macaroon = importMacaroon(Uint8Array.from(Buffer.from(token, "base64")));
    const caveats = macaroon.caveats.map(({ identifier }) => Buffer.from(identifier).toString());
    assert.ok(caveats.some((caveat) => /_valid_until=\d+$/.test(caveat)), caveats.join(" | "));
    const service = /^services=([^:]+):/.exec(caveats.find((caveat) => caveat.startsWith("services=")))[1];
    macaroon.addFirstPartyCaveat(`${service}_valid_until=${Math.floor(Date.now() / 1000) + 30}`);
    // As JSON: its binary writer doubles its memory for each part beyond 200 bytes, and gives up.
    const narrowed = Buffer.from(JSON.stringify(macaroon.exportJSON())).toString("base64");
    const preimage = await pay(net.buyer, invoice);
    const answer = await fetch(url, { headers: { authorization: `L402 ${narrowed}:${preimage}` } });
    assert.equal(answer.status, 200);
  });
  await check("lightning: farebox fetch buys from our gate, through two lnd", async () => {
    const cost = await costOf(net, async () => {
      const { exit, answer } = await ourFetch(binary, folder, [url]);
      assert.equal(exit, 0, JSON.stringify(answer.error));
      assert.equal(answer.payment.state, "settled");
    });
    assert.equal(cost, PRICE_SAT * MSAT);
  });
  await check("lightning: no L402 header reaches the upstream", () => {
    assert.ok(upstream.seen.requests > 0, "the upstream was reached");
    assert.equal(upstream.seen.paymentHeaders, 0);
  });
  await stop(gate.child);
}

/** Every check; `tools` holds btcd, lnd and aperture, `folder` takes files. */
export async function l402(binary, folder, tools) {
  const missing = ["btcd", "lnd", "aperture"].filter((name) => !existsSync(join(tools ?? "", name)));
  if (missing.length) return skip("lightning: aperture and lnd", `SKIPPED, no Go to build ${missing.join(", ")} with`);
  skip("lightning: lnget", "SKIPPED, the module proxy has no version of it");
  const net = await startLightning(tools, folder);
  // Aperture passes credentials on to what is behind it; ours has a backend of its own.
  const [upstream, behindAperture] = [await startUpstream(), await startUpstream()];
  const aperture = await startAperture(tools, join(folder, "aperture"), net.seller, behindAperture.url);
  await controls(net, aperture);
  if (binary) {
    await writeFiles(folder, net.seller, net.buyer);
    await fromAperture(net, aperture, binary, folder);
    await fromOurGate(net, binary, folder, upstream);
  }
  await stop(aperture.child);
  await Promise.all([upstream.close(), behindAperture.close()]);
  await net.stop();
}
