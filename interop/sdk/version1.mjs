// Version 1 of the protocol: its official client buys from us, and we buy from its official seller. Called by `main.mjs`.

import assert from "node:assert/strict";
import { buyWithVersion1, NETWORK_V1, startVersion1Facilitator, startVersion1Seller } from "../v1/official.mjs";
import { balanceOf, keyOf } from "./chains.mjs";
import { startUpstream } from "./official.mjs";
import {
  assertOurFetchBuys, assertPaid, assertReceipt, OFFICIAL_GAS, PAYEE, PRICE, startGate, startOurFacilitator, VERSION_1,
} from "./parties.mjs";
import { stop } from "./processes.mjs";
import { check } from "./report.mjs";

async function assertVersion1Buys(rpc, url) {
  const before = await balanceOf(rpc, PAYEE);
  const bought = await buyWithVersion1(url, keyOf(VERSION_1));
  assert.equal(bought.status, 200, JSON.stringify(bought));
  assertReceipt(bought.receipt, NETWORK_V1);
  await assertPaid(rpc, bought.receipt.transaction, VERSION_1);
  assert.equal(await balanceOf(rpc, PAYEE), before + PRICE);
  return bought;
}

/** Client, seller and facilitator of version 1 among themselves: if this fails, the fault is not ours. */
export async function version1Control(chain, rpc) {
  const facilitator = await startVersion1Facilitator(rpc, keyOf(OFFICIAL_GAS));
  const seller = await startVersion1Seller(facilitator.url, PAYEE, "$0.001");
  await check(`${chain}: control: x402-fetch 1.x buys from x402-express 1.x behind the facilitator of x402 1.x`, async () => {
    const bought = await assertVersion1Buys(rpc, `${seller.url}/report`);
    assert.deepEqual(bought.body, { report: "sunny" });
  });
  await seller.close();
  await facilitator.close();
}

/** The client of version 1 buys from our gate. */
export async function version1Client(chain, rpc, binary, folder) {
  const upstream = await startUpstream();
  const gate = await startGate(binary, folder, upstream.url, "0.001 USD");
  const url = `${gate.ready}/weather?city=Oslo`;
  await check(`${chain}: x402-fetch 1.x buys from our gate, and its credential buys nothing twice`, async () => {
    const bought = await assertVersion1Buys(rpc, url);
    assert.deepEqual(bought.body, { path: "/weather?city=Oslo", method: "GET", body: null });
    const served = upstream.seen.requests;
    const repeated = await fetch(url, { headers: { "x-payment": bought.credential } });
    assert.equal(repeated.status, 409, "delivered already");
    assert.equal(upstream.seen.requests, served, "the upstream was not called again");
    assert.equal(upstream.seen.paymentHeaders, 0);
  });
  await stop(gate.child);
  await upstream.close();
}

/** Sellers of version 1 behind their own facilitator and behind ours. */
export async function version1Seller(chain, rpc, binary, folder) {
  const theirs = await startVersion1Facilitator(rpc, keyOf(OFFICIAL_GAS));
  const ours = await startOurFacilitator(binary, folder);
  for (const [name, url] of [["its own facilitator", theirs.url], ["our facilitator", ours.ready]]) {
    const seller = await startVersion1Seller(url, PAYEE, "$0.001");
    await check(`${chain}: farebox fetch buys from x402-express 1.x behind ${name}`, async () => {
      const answer = await assertOurFetchBuys(rpc, binary, folder, `${seller.url}/report`);
      assert.deepEqual(JSON.parse(answer.body), { report: "sunny" });
    });
    await seller.close();
  }
  const seller = await startVersion1Seller(ours.ready, PAYEE, "$0.001");
  await check(`${chain}: x402-fetch 1.x buys from x402-express 1.x behind our facilitator`, async () => {
    const bought = await assertVersion1Buys(rpc, `${seller.url}/report`);
    assert.deepEqual(bought.body, { report: "sunny" });
  });
  await seller.close();
  await stop(ours.child);
  await theirs.close();
}
