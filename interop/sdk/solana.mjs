// Solana, on our local network: official clients buy from our gate, we buy from official sellers, and either facilitator
// serves either, in both versions of the protocol; and one 402 asks there and on an EVM chain. Called by `main.mjs`. Every
// purchase is compared with the chain.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import {
  buyWithVersion1OnSolana, SOLANA_V1, startVersion1FacilitatorOnSolana, startVersion1Seller,
} from "../v1/official.mjs";
import { AT_ONCE, SELLERS, useAtOnce } from "./facilitators.mjs";
import {
  buyWithAxios, buyWithFetch, facilitatorAt, ON_EVM, serveFacilitator, startExpress, startUpstream,
} from "./official.mjs";
import {
  assertPaid, assertReceipt, AXIOS, CONTROL, CROWD, FETCH, OFFICIAL_GAS, ourFetch, OURS, PRICE, startGate, startOurFacilitator,
  SPENDER, startOurs, VERSION_1,
} from "./parties.mjs";
import { stop } from "./processes.mjs";
import { check } from "./report.mjs";
import {
  airdrop, buyWithSchemeOfVersion1, facilitatorOn, holdings, movedBy, paidOn, payingFrom, startNetworks, startSolana,
} from "./svm.mjs";

const PAID = 9; // the account that is paid
const ASKED = "$0.001";
const FOUR_INSTRUCTIONS = "invalid_exact_svm_payload_transaction_instructions_length";

/** The purchase succeeds, and `payer` has paid the price to the atomic unit, in the transaction that it names. */
async function assertBuys(net, payer, purchase) {
  const accounts = [payer, PAID];
  const balances = () => Promise.all(accounts.map((index) => holdings(net, index)));
  const [held, earned] = await balances();
  const bought = await purchase();
  assert.equal(bought.status, 200, JSON.stringify(bought));
  assert.deepEqual(await balances(), [held - PRICE, earned + PRICE]);
  const moved = await movedBy(net, bought.receipt.transaction);
  assert.deepEqual(accounts.map((index) => moved.get(net.accounts[index].address)), [-PRICE, PRICE]);
  return bought;
}

/** An official client buys, and its receipt says so. */
async function assertTheyBuy(net, payer, purchase, network = net.network) {
  const bought = await assertBuys(net, payer, purchase);
  assertReceipt(bought.receipt, network);
  assert.equal(bought.receipt.payer, net.accounts[payer].address);
  return bought;
}

async function assertFetchBuys(net, url, payer) {
  const config = await payingFrom(net, payer);
  return assertTheyBuy(net, payer, () => buyWithFetch(url, config));
}

/** `farebox fetch` buys, and what it prints agrees. */
async function assertWeBuy(net, binary, folder, url, flags = []) {
  const bought = await assertBuys(net, OURS, async () => {
    const { exit, answer } = await ourFetch(binary, folder, [...flags, url]);
    assert.equal(exit, 0, JSON.stringify(answer.error));
    return { ...answer, receipt: answer.payment };
  });
  assert.deepEqual([bought.payment.state, bought.payment.rail], ["settled", "solana"], JSON.stringify(bought.payment));
  assert.equal(bought.payment.amount.atomic, PRICE.toString());
  return bought;
}

/** Nothing moves between the buyer and the seller while `body` runs. */
async function assertNothingMoves(net, payer, body) {
  const balances = () => Promise.all([payer, PAID].map((index) => holdings(net, index)));
  const before = await balances();
  await body();
  assert.deepEqual(await balances(), before);
}

/** Official client, seller and facilitator among themselves: if this fails, the fault is the network's or theirs. */
async function controls(net) {
  await check("solana: @solana/kit airdrops on the local network and sees it confirmed", async () => {
    assert.equal(await airdrop(net, 7_000_000n), 7_000_000n);
  });
  const facilitator = await serveFacilitator(await facilitatorOn(net, OFFICIAL_GAS));
  for (const [name, start] of SELLERS) {
    const seller = await start(facilitatorAt(facilitator.url), ASKED, [paidOn(net, PAID)]);
    await check(`solana: control: @x402/fetch buys from ${name} behind the official facilitator`, async () => {
      const bought = await assertFetchBuys(net, `${seller.url}/report`, CONTROL);
      assert.deepEqual(bought.body, { report: "sunny" });
    });
    await seller.close();
  }
  await facilitator.close();
}

/** Official clients buy from our gate. */
async function ourGate(net, binary, folder) {
  const upstream = await startUpstream();
  const gate = await startGate(binary, folder, upstream.url, "0.001 USD");
  const url = `${gate.ready}/weather?city=Oslo`;
  let credential = null;
  await check("solana: @x402/fetch buys from our gate", async () => {
    const bought = await assertFetchBuys(net, url, FETCH);
    credential = bought.credential;
    assert.deepEqual(bought.body, { path: "/weather?city=Oslo", method: "GET", body: null });
  });
  await check("solana: the same credential buys nothing twice", async () => {
    assert.ok(credential, "there is one");
    const served = upstream.seen.requests;
    await assertNothingMoves(net, FETCH, async () => {
      const repeated = await fetch(url, { headers: { "payment-signature": credential } });
      assert.equal(repeated.status, 409, "delivered already");
      const elsewhere = await fetch(`${gate.ready}/other`, { headers: { "payment-signature": credential } });
      assert.equal(elsewhere.status, 402, "another path");
    });
    assert.equal(upstream.seen.requests, served, "the upstream was not called again");
  });
  await check("solana: @x402/axios buys from our gate", async () => {
    const config = await payingFrom(net, AXIOS);
    await assertTheyBuy(net, AXIOS, () => buyWithAxios(url, config));
  });
  await check("solana: ten @x402/fetch at once each pay once", async () => {
    const [config, earned] = [await payingFrom(net, FETCH), await holdings(net, PAID)];
    const purchases = Array.from({ length: 10 }, (_, index) => buyWithFetch(`${gate.ready}/item/${index}`, config));
    const bought = await Promise.all(purchases);
    assert.deepEqual(bought.map(({ status, body }) => [status, body.path]), bought.map((_, index) => [200, `/item/${index}`]));
    assert.equal(new Set(bought.map(({ receipt }) => receipt.transaction)).size, 10, "ten transactions");
    assert.equal(await holdings(net, PAID), earned + 10n * PRICE);
  });
  await version1Clients(net, url);
  await check("solana: no payment header reaches the upstream", () => {
    assert.ok(upstream.seen.requests > 0, "the upstream was reached");
    assert.equal(upstream.seen.paymentHeaders, 0);
  });
  await stop(gate.child);
  await paidUpfront(net, binary, folder, upstream);
  await upstream.close();
}

/** The clients of version 1 buy from our gate: that of the packages of version 1, and that of the official SDK of today. */
async function version1Clients(net, url) {
  const clients = [
    ["x402-fetch 1.x", () => buyWithVersion1OnSolana(url, net.accounts[VERSION_1].key, net.rpc)],
    ["@x402/fetch with the scheme of version 1", () => buyWithSchemeOfVersion1(net, url, VERSION_1)],
  ];
  for (const [name, buy] of clients) {
    await check(`solana: ${name} buys from our gate, and its credential buys nothing twice`, async () => {
      const { credential } = await assertTheyBuy(net, VERSION_1, buy, SOLANA_V1);
      await assertNothingMoves(net, VERSION_1, async () => {
        const repeated = await fetch(url, { headers: { "x-payment": credential } });
        assert.equal(repeated.status, 409, "delivered already");
      });
    });
  }
}

/** A route that is settled before the upstream is called. */
async function paidUpfront(net, binary, folder, upstream) {
  const seller = await readFile(join(folder, "seller.toml"), "utf8");
  const route = `\n[[route]]\nmatch = "/*"\nupstream = "${upstream.url}"\nprice = "0.001 USD"\nsettle = "before"\n`;
  await writeFile(join(folder, "upfront.toml"), seller + route);
  const gate = await startOurs(binary, ["gate", "--config", join(folder, "upfront.toml")]);
  await check("solana: @x402/fetch buys a request that is settled first", () => assertFetchBuys(net, `${gate.ready}/weather`, FETCH));
  await stop(gate.child);
}

/** Our buyer pays official sellers behind the official facilitator. */
async function officialSeller(net, binary, folder) {
  const facilitator = await facilitatorOn(net, OFFICIAL_GAS);
  const offers = [["", paidOn(net, PAID)], [" that names a blockhash", paidOn(net, PAID, net.rpc)]];
  for (const [which, paid] of offers) {
    const seller = await startExpress(facilitator, ASKED, [paid]);
    await check(`solana: farebox fetch buys from @x402/express${which} behind the official facilitator`, async () => {
      const answer = await assertWeBuy(net, binary, folder, `${seller.url}/report`);
      assert.deepEqual(JSON.parse(answer.body), { report: "sunny" });
    });
    await seller.close();
  }
  const seller = await startExpress(facilitator, ASKED, [paidOn(net, PAID)]);
  await check("solana: farebox fetch --dry-run shows the offer of @x402/express and pays nothing", () =>
    assertNothingMoves(net, OURS, async () => {
      const { exit, answer } = await ourFetch(binary, folder, ["--dry-run", `${seller.url}/report`]);
      assert.equal(exit, 0, JSON.stringify(answer.error));
      assert.deepEqual(answer.offers.map(({ network, payable }) => [network, payable]), [[net.network, true]]);
      assert.ok(answer.decision.allow, JSON.stringify(answer.decision));
    }));
  await check("solana: an @x402/express seller that fails leaves the amount reserved", () =>
    assertNothingMoves(net, OURS, async () => {
      const { exit, answer } = await ourFetch(binary, folder, [`${seller.url}/broken`]);
      assert.deepEqual([exit, answer.status], [5, 500], JSON.stringify(answer.error));
      assert.ok(answer.payment.reserved_until, "reserved_until says until when");
    }));
  await seller.close();
}

/** Official sellers of both versions behind our facilitator. */
async function ourFacilitator(net, binary, folder) {
  const facilitator = await startOurFacilitator(binary, folder);
  for (const [name, start] of SELLERS) {
    const seller = await start(facilitatorAt(facilitator.ready), ASKED, [paidOn(net, PAID)]);
    const url = `${seller.url}/report`;
    await check(`solana: @x402/fetch buys from ${name} behind our facilitator`, async () => {
      const bought = await assertFetchBuys(net, url, FETCH);
      assert.deepEqual(bought.body, { report: "sunny" });
    });
    await check(`solana: farebox fetch buys from ${name} behind our facilitator`, () => assertWeBuy(net, binary, folder, url));
    await seller.close();
  }
  const seller = await startExpress(facilitatorAt(facilitator.ready), ASKED, [paidOn(net, PAID)]);
  await check(`solana: ${AT_ONCE} parallel uses of one credential at @x402/express behind our facilitator buy once`, async () => {
    const [url, config] = [`${seller.url}/report`, await payingFrom(net, CROWD)];
    await assertTheyBuy(net, CROWD, async () => ({ status: 200, receipt: await useAtOnce(url, config) }));
  });
  await seller.close();
  await version1Sellers(net, binary, folder, facilitator.ready);
  await stop(facilitator.child);
}

/**
 * The seller of version 1 behind its own facilitator, as a control, and behind ours. `x402-fetch` 1.x writes no memo, so that
 * two payments of one account to the same fee payer by the same blockhash are one: each check has an account of its own.
 */
async function version1Sellers(net, binary, folder, ours) {
  const payee = net.accounts[PAID].address;
  const client = (seller) => () => buyWithVersion1OnSolana(`${seller.url}/report`, net.accounts[SPENDER].key, net.rpc);
  const facilitator = await startVersion1FacilitatorOnSolana(net.rpc, net.accounts[OFFICIAL_GAS].key);
  let seller = await startVersion1Seller(facilitator.url, payee, ASKED, SOLANA_V1);
  await check("solana: control: x402-fetch 1.x buys from x402-express 1.x behind the facilitator of x402 1.x", () =>
    assertTheyBuy(net, SPENDER, client(seller), SOLANA_V1));
  await check("solana: the facilitator of x402 1.x takes no memo, of the official scheme of version 1 or of ours, and nothing moves", async () => {
    await assertNothingMoves(net, CONTROL, async () => {
      const bought = await buyWithSchemeOfVersion1(net, `${seller.url}/report`, CONTROL);
      assert.equal(bought.body.error, FOUR_INSTRUCTIONS, JSON.stringify(bought));
    });
    await assertNothingMoves(net, OURS, async () => {
      const { exit, answer } = await ourFetch(binary, folder, [`${seller.url}/report`]);
      assert.deepEqual([exit, answer.status], [5, 402], JSON.stringify(answer));
    });
  });
  await seller.close();
  await facilitator.close();
  seller = await startVersion1Seller(ours, payee, ASKED, SOLANA_V1);
  await check("solana: x402-fetch 1.x buys from x402-express 1.x behind our facilitator", () =>
    assertTheyBuy(net, SPENDER, client(seller), SOLANA_V1));
  await check("solana: farebox fetch buys from x402-express 1.x behind our facilitator", () =>
    assertWeBuy(net, binary, folder, `${seller.url}/report`));
  await seller.close();
}

/** Our gate behind the official facilitator, once with a node of its own to ask, once with the facilitator's word alone. */
async function officialFacilitator(net, binary, folder) {
  const facilitator = await serveFacilitator(await facilitatorOn(net, OFFICIAL_GAS));
  const upstream = await startUpstream();
  const nodes = [["with a node", `rpc = ["${net.rpc}"]`], ["without a node", ""]];
  for (const [name, rpc] of nodes) {
    const file = join(folder, `${name.replaceAll(" ", "-")}.toml`);
    const sections = [
      `ledger = "sqlite:${name.replaceAll(" ", "-")}.db"`, `[network."${net.network}"]`, rpc,
      "[pay_to]", `solana = "${net.accounts[PAID].address}"`, "[facilitator]", `urls = ["${facilitator.url}"]`,
    ];
    await writeFile(file, `${sections.join("\n")}\n`);
    const gate = await startOurs(binary, ["gate", "--config", file, "--upstream", upstream.url, "--price", "0.001 USD"]);
    await check(`solana: @x402/fetch buys from our gate ${name} behind the official facilitator`, async () => {
      const settled = facilitator.seen.settle;
      await assertFetchBuys(net, `${gate.ready}/weather`, FETCH);
      assert.equal(facilitator.seen.settle, settled + 1);
    });
    await check(`solana: farebox fetch buys from our gate ${name} behind the official facilitator`, () =>
      assertWeBuy(net, binary, folder, `${gate.ready}/weather`));
    await stop(gate.child);
  }
  await upstream.close();
  await facilitator.close();
}

/** One 402 asks on an EVM chain and on Solana; either pays, at our gate and at an official seller behind our facilitator. */
async function bothRails(binary, folder) {
  const { evm, solana: net } = await startNetworks(binary, folder, "evm,solana");
  const upstream = await startUpstream();
  const gate = await startGate(binary, folder, upstream.url, "0.001 USD");
  await check("both rails: @x402/fetch buys from our gate over the one that it knows", async () => {
    await assertFetchBuys(net, `${gate.ready}/weather`, FETCH);
    const { status, receipt } = await buyWithFetch(`${gate.ready}/weather`, FETCH);
    assert.equal(status, 200);
    assertReceipt(receipt);
    await assertPaid(evm.rpc, receipt.transaction, FETCH);
  });
  await stop(gate.child);
  await upstream.close();
  const facilitator = await startOurFacilitator(binary, folder);
  const seller = await startExpress(facilitatorAt(facilitator.ready), ASKED, [ON_EVM, paidOn(net, PAID)]);
  await check("both rails: farebox fetch buys from @x402/express behind our facilitator over the one that it is told", async () => {
    const url = `${seller.url}/report`;
    await assertWeBuy(net, binary, folder, url, ["--rail", "solana"]);
    const { exit, answer } = await ourFetch(binary, folder, ["--rail", "evm", url]);
    assert.equal(exit, 0, JSON.stringify(answer.error));
    assert.equal(answer.payment.amount.atomic, PRICE.toString());
    await assertPaid(evm.rpc, answer.payment.transaction, OURS);
  });
  await seller.close();
  await stop(facilitator.child);
}

/** Every check on Solana. `part` runs one and lets the others run where it breaks off. */
export async function solana(binary, makeFolder, part) {
  const folder = await makeFolder();
  const net = await startSolana(binary, folder);
  await part("solana: controls", () => controls(net));
  await part("solana: gate", () => ourGate(net, binary, folder));
  await part("solana: fetch", () => officialSeller(net, binary, folder));
  await part("solana: our facilitator", () => ourFacilitator(net, binary, folder));
  await part("solana: the official facilitator", () => officialFacilitator(net, binary, folder));
  await part("both rails", async () => bothRails(binary, await makeFolder()));
}
