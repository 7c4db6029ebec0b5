// Pays with software that we did not write, in both directions, on our devnet and on anvil. Called by `interop/run`.
// usage: node sdk/main.mjs [PATH OF FAREBOX [FOLDER OF PEBBLE [FOLDER OF LND [ONLY]]]]; without the first only the controls
// run: official buyer, official seller, anvil. ONLY is `evm`, `lightning` or `solana`, and runs that alone.

import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { acme } from "./acme.mjs";
import { browser } from "./browser.mjs";
import { account, balanceOf, startAnvil, startDevnet } from "./chains.mjs";
import { facilitatorControls, officialFacilitator, ourFacilitator } from "./facilitators.mjs";
import { l402 } from "./l402.mjs";
import { buyWithAxios, buyWithFetch, facilitatorHere, startExpress, startUpstream } from "./official.mjs";
import {
  assertPaid, assertReceipt, AXIOS, CONTROL, FETCH, OFFICIAL_GAS, ourFetch, PAYEE, PRICE, SPENDER, startGate, startOurs,
} from "./parties.mjs";
import { run, stop, stopAll } from "./processes.mjs";
import { check, finish } from "./report.mjs";
import { solana } from "./solana.mjs";
import { version1Client, version1Control, version1Seller } from "./version1.mjs";
import { deployFactory, smartWallets, walletControls } from "./wallets.mjs";

const CONTRACTS_CHECK = new URL("../../contracts/check", import.meta.url);
const DEVNET_CHECK = new URL("../devnet/check.mjs", import.meta.url);
const DEVNET_ORACLE = new URL("../devnet/oracle.mjs", import.meta.url);

/** The official client buys from the official seller: if this fails, the fault is not ours. */
async function controls(chain, rpc) {
  const seller = await startExpress(facilitatorHere(rpc, OFFICIAL_GAS), "$0.001");
  await check(`${chain}: control: @x402/fetch buys from @x402/express`, async () => {
    const bought = await buyWithFetch(`${seller.url}/report`, CONTROL);
    assert.equal(bought.status, 200);
    assert.deepEqual(bought.body, { report: "sunny" });
    assertReceipt(bought.receipt);
    await assertPaid(rpc, bought.receipt.transaction, CONTROL);
  });
  await check(`${chain}: control: @x402/axios buys from @x402/express`, async () => {
    const bought = await buyWithAxios(`${seller.url}/report`, CONTROL);
    assert.equal(bought.status, 200);
    assertReceipt(bought.receipt);
    await assertPaid(rpc, bought.receipt.transaction, CONTROL);
  });
  await seller.close();
}

/** Official clients buy from our gate. */
async function ourGate(chain, rpc, binary, folder) {
  const upstream = await startUpstream();
  const gate = await startGate(binary, folder, upstream.url, "0.001 USD");
  const url = `${gate.ready}/weather?city=Oslo`;
  let credential = null;
  await check(`${chain}: @x402/fetch buys from our gate`, async () => {
    const bought = await buyWithFetch(url, FETCH);
    credential = bought.credential;
    assert.equal(bought.status, 200);
    assert.deepEqual(bought.body, { path: "/weather?city=Oslo", method: "GET", body: null });
    assertReceipt(bought.receipt);
    await assertPaid(rpc, bought.receipt.transaction, FETCH);
  });
  await check(`${chain}: @x402/fetch buys a POST with a body from our gate`, async () => {
    const bought = await buyWithFetch(url, FETCH, { method: "POST", body: "two words", headers: { "content-type": "text/plain" } });
    assert.equal(bought.status, 200);
    assert.equal(bought.body.body, "two words");
    assertReceipt(bought.receipt);
    await assertPaid(rpc, bought.receipt.transaction, FETCH);
  });
  await check(`${chain}: the same credential buys nothing twice`, async () => {
    const before = upstream.seen.requests;
    const repeated = await fetch(url, { headers: { "payment-signature": credential } });
    assert.equal(repeated.status, 409, "delivered already");
    const elsewhere = await fetch(`${gate.ready}/other`, { headers: { "payment-signature": credential } });
    assert.equal(elsewhere.status, 402, "another path");
    assert.equal(upstream.seen.requests, before, "the upstream was not called again");
  });
  await check(`${chain}: @x402/axios buys from our gate`, async () => {
    const bought = await buyWithAxios(url, AXIOS);
    assert.equal(bought.status, 200);
    assertReceipt(bought.receipt);
    await assertPaid(rpc, bought.receipt.transaction, AXIOS);
  });
  await check(`${chain}: ten @x402/fetch at once each pay once`, async () => {
    const before = await balanceOf(rpc, PAYEE);
    const purchases = Array.from({ length: 10 }, (_, index) => buyWithFetch(`${gate.ready}/item/${index}`, FETCH));
    const bought = await Promise.all(purchases);
    assert.deepEqual(bought.map(({ status, body }) => [status, body.path]), bought.map((_, index) => [200, `/item/${index}`]));
    bought.forEach(({ receipt }) => assertReceipt(receipt));
    assert.equal(await balanceOf(rpc, PAYEE), before + 10n * PRICE);
  });
  await check(`${chain}: no payment header reaches the upstream`, () => {
    assert.ok(upstream.seen.requests > 0, "the upstream was reached");
    assert.equal(upstream.seen.paymentHeaders, 0);
  });
  await stop(gate.child);
  await aboveTheSpendControls(chain, rpc, binary, folder, upstream);
  await paidUpfront(chain, rpc, binary, folder, upstream);
  await upstream.close();
}

/** The SDK reads our offer well enough to apply its default limit of one dollar for a known token. */
async function aboveTheSpendControls(chain, rpc, binary, folder, upstream) {
  const gate = await startGate(binary, folder, upstream.url, "1.01 USD");
  await check(`${chain}: the spend controls of @x402/fetch refuse our gate above one dollar`, async () => {
    const before = await balanceOf(rpc, account(SPENDER).address);
    await assert.rejects(buyWithFetch(`${gate.ready}/weather`, SPENDER), /spendControls\.maxAmountPerPayment/);
    assert.equal(await balanceOf(rpc, account(SPENDER).address), before);
  });
  await stop(gate.child);
}

/** A route that is settled before the upstream is called; v2 clients know it as the upfront flow. */
async function paidUpfront(chain, rpc, binary, folder, upstream) {
  const seller = await readFile(join(folder, "seller.toml"), "utf8");
  const route = `\n[[route]]\nmatch = "/*"\nupstream = "${upstream.url}"\nprice = "0.001 USD"\nsettle = "before"\n`;
  await writeFile(join(folder, "upfront.toml"), seller + route);
  const gate = await startOurs(binary, ["gate", "--config", join(folder, "upfront.toml")]);
  await check(`${chain}: @x402/fetch buys a request that is settled first`, async () => {
    const bought = await buyWithFetch(`${gate.ready}/weather`, FETCH);
    assert.equal(bought.status, 200);
    assertReceipt(bought.receipt);
    await assertPaid(rpc, bought.receipt.transaction, FETCH);
  });
  await stop(gate.child);
}

/** Our buyer pays the official seller. */
async function officialSeller(chain, rpc, binary, folder) {
  const seller = await startExpress(facilitatorHere(rpc, OFFICIAL_GAS), "$0.001");
  await check(`${chain}: farebox fetch buys from @x402/express`, async () => {
    const before = await balanceOf(rpc, PAYEE);
    const { exit, answer } = await ourFetch(binary, folder, [`${seller.url}/report`]);
    assert.equal(exit, 0, JSON.stringify(answer.error));
    assert.equal(answer.status, 200);
    assert.deepEqual(JSON.parse(answer.body), { report: "sunny" });
    assert.equal(answer.payment.state, "settled");
    assert.equal(answer.payment.amount.atomic, PRICE.toString());
    await assertPaid(rpc, answer.payment.transaction);
    assert.equal(await balanceOf(rpc, PAYEE), before + PRICE);
  });
  await check(`${chain}: farebox fetch refuses @x402/express above --max-cost`, async () => {
    const { exit, answer } = await ourFetch(binary, folder, ["--max-cost", "0.0005 USD", `${seller.url}/report`]);
    assert.equal(exit, 3, JSON.stringify(answer.error));
    assert.equal(answer.payment, null);
  });
  await check(`${chain}: farebox fetch --dry-run shows the offer of @x402/express and pays nothing`, async () => {
    const before = await balanceOf(rpc, PAYEE);
    const { exit, answer } = await ourFetch(binary, folder, ["--dry-run", `${seller.url}/report`]);
    assert.equal(exit, 0, JSON.stringify(answer.error));
    assert.deepEqual(answer.offers.map(({ network, payable }) => [network, payable]), [["eip155:84532", true]]);
    assert.ok(answer.decision.allow, JSON.stringify(answer.decision));
    assert.equal(await balanceOf(rpc, PAYEE), before);
  });
  await check(`${chain}: an @x402/express seller that fails leaves the amount reserved`, async () => {
    const before = await balanceOf(rpc, PAYEE);
    const { exit, answer } = await ourFetch(binary, folder, [`${seller.url}/broken`]);
    assert.equal(exit, 5, JSON.stringify(answer.error));
    assert.equal(answer.status, 500);
    assert.ok(answer.payment.reserved_until, "reserved_until says until when");
    assert.equal(await balanceOf(rpc, PAYEE), before, "nothing was paid");
  });
  await check(`${chain}: the buyer's budget counts what was paid and what may still be`, async () => {
    const { stdout } = await run(binary, ["budget", "show", "--config", join(folder, "buyer.toml"), "--json"]);
    const total = JSON.parse(stdout).levels.find(({ level }) => level === "total");
    assert.deepEqual([total.spent, total.reserved], ["0.001", "0.001"]);
  });
  await seller.close();
}

/** A copy of the devnet's configuration files that points to another chain. */
async function configurationFor(rpc, devnetRpc, devnetFolder, folder) {
  for (const name of await readdir(devnetFolder)) {
    if (!/\.(toml|key)$/.test(name)) continue;
    const text = await readFile(join(devnetFolder, name), "utf8");
    await writeFile(join(folder, name), text.replaceAll(devnetRpc, rpc), { mode: 0o600 });
  }
}

/** Another program's own verdict: its exit status. What it says is shown when it fails. */
async function verdict(name, program, args) {
  await check(name, async () => {
    const { exit, stdout, stderr } = await run(program, args);
    if (exit !== 0) console.log(`${stdout}${stderr}`.trim());
    assert.equal(exit, 0, `${program} exits 0`);
  });
}

/** A part that does not run to its end is one failed check, and the rest still runs. */
async function part(name, body) {
  try {
    await body();
  } catch (error) {
    await check(`${name} runs to its end`, () => Promise.reject(error));
  }
}

/** Every check on one chain; without our binary only the controls. */
async function bothWays(chain, rpc, binary, folder) {
  await part(`${chain}: controls`, () => controls(chain, rpc));
  await part(`${chain}: facilitator controls`, () => facilitatorControls(chain, rpc));
  await part(`${chain}: version 1 control`, () => version1Control(chain, rpc));
  let factory;
  await part(`${chain}: wallet controls`, async () => {
    factory = await deployFactory(rpc);
    await walletControls(chain, rpc, factory);
  });
  if (!binary) return;
  await part(`${chain}: gate`, () => ourGate(chain, rpc, binary, folder));
  await part(`${chain}: fetch`, () => officialSeller(chain, rpc, binary, folder));
  await part(`${chain}: our facilitator`, () => ourFacilitator(chain, rpc, binary, folder));
  await part(`${chain}: the official facilitator`, () => officialFacilitator(chain, rpc, binary, folder));
  await part(`${chain}: version 1 client`, () => version1Client(chain, rpc, binary, folder));
  await part(`${chain}: version 1 seller`, () => version1Seller(chain, rpc, binary, folder));
  await part(`${chain}: smart wallets`, () => smartWallets(chain, rpc, factory, binary, folder));
}

/** What takes place on EVM chains: our devnet, and anvil beside it. */
async function evm(binary, folder, pebble) {
  const devnetFolder = await folder();
  let devnetRpc;
  await verdict("contracts: the artifacts are what the sources compile to", fileURLToPath(CONTRACTS_CHECK), []);
  await part("devnet", async () => {
    devnetRpc = await startDevnet(binary, devnetFolder);
    await verdict("devnet: viem and ethers work with it", process.execPath, [fileURLToPath(DEVNET_CHECK), devnetRpc]);
    await verdict("devnet: alloy works with it", join(dirname(binary), "../alloy/debug/interop-alloy"), [devnetRpc]);
    await bothWays("devnet", devnetRpc, binary, devnetFolder);
    await part("devnet: browser", () => browser("devnet", devnetRpc, binary, devnetFolder));
    await part("devnet: pebble", () => acme("devnet", devnetRpc, binary, devnetFolder, pebble));
  });
  await part("anvil", async () => {
    const anvilFolder = await folder();
    const rpc = await startAnvil();
    const both = [fileURLToPath(DEVNET_ORACLE), devnetRpc, rpc];
    await verdict("anvil: the devnet agrees with it on gas, logs and refusals", process.execPath, both);
    await configurationFor(rpc, devnetRpc, devnetFolder, anvilFolder);
    await bothWays("anvil", rpc, binary, anvilFolder);
  });
}

async function main(binary, pebble, lightning, only) {
  const folders = [];
  const folder = async () => {
    folders.push(await mkdtemp(join(tmpdir(), "farebox-interop-")));
    return folders.at(-1);
  };
  try {
    if (!binary) return await part("anvil", async () => bothWays("anvil", await startAnvil()));
    const parts = {
      evm: () => evm(binary, folder, pebble),
      solana: () => solana(binary, folder, part),
      lightning: async () => l402(binary, await folder(), lightning),
    };
    assert.ok(!only || parts[only], `there is no part ${only}`);
    for (const name of only ? [only] : Object.keys(parts)) await part(name, parts[name]);
  } finally {
    await stopAll();
    await Promise.all(folders.map((path) => rm(path, { recursive: true, force: true })));
  }
}

for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => stopAll().then(() => process.exit(1)));
await main(...process.argv.slice(2));
process.exit(finish());
