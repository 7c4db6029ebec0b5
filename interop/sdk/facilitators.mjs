// Facilitators on the wire: official sellers behind ours, our gate behind the official one. Called by `main.mjs`.

import assert from "node:assert/strict";
import { decodePaymentResponseHeader } from "@x402/fetch";
import { account, balanceOf, NETWORK } from "./chains.mjs";
import {
  buyWithFetch, credentialFor, facilitatorAt, startExpress, startFacilitator, startHono, startUpstream,
} from "./official.mjs";
import {
  assertOurFetchBuys, assertPaid, assertReceipt, CONTROL, CROWD, FETCH, OFFICIAL_GAS, PAYEE, PRICE, startOurFacilitator, startOurs,
} from "./parties.mjs";
import { stop } from "./processes.mjs";
import { check } from "./report.mjs";

export const AT_ONCE = 50; // uses of one credential
export const SELLERS = [["@x402/express", startExpress], ["@x402/hono", startHono]];

async function assertFetchBuys(rpc, url, buyer) {
  const before = await balanceOf(rpc, PAYEE);
  const bought = await buyWithFetch(url, buyer);
  assert.equal(bought.status, 200, JSON.stringify(bought));
  assertReceipt(bought.receipt);
  assert.equal(bought.receipt.payer.toLowerCase(), account(buyer).address.toLowerCase());
  await assertPaid(rpc, bought.receipt.transaction, buyer);
  assert.equal(await balanceOf(rpc, PAYEE), before + PRICE);
  return bought;
}

/** Official client, official sellers, official facilitator, over HTTP throughout: if this fails, the fault is not ours. */
export async function facilitatorControls(chain, rpc) {
  const facilitator = await startFacilitator(rpc, OFFICIAL_GAS);
  for (const [name, start] of SELLERS) {
    const seller = await start(facilitatorAt(facilitator.url), "$0.001");
    await check(`${chain}: control: @x402/fetch buys from ${name} behind the official facilitator`, async () => {
      const bought = await assertFetchBuys(rpc, `${seller.url}/report`, CONTROL);
      assert.deepEqual(bought.body, { report: "sunny" });
    });
    await seller.close();
  }
  await facilitator.close();
}

/** Official sellers behind our facilitator. */
export async function ourFacilitator(chain, rpc, binary, folder) {
  const facilitator = await startOurFacilitator(binary, folder);
  for (const [name, start] of SELLERS) {
    const seller = await start(facilitatorAt(facilitator.ready), "$0.001");
    const url = `${seller.url}/report`;
    await check(`${chain}: @x402/fetch buys from ${name} behind our facilitator`, async () => {
      const bought = await assertFetchBuys(rpc, url, FETCH);
      assert.deepEqual(bought.body, { report: "sunny" });
    });
    await check(`${chain}: farebox fetch buys from ${name} behind our facilitator`, async () => {
      const answer = await assertOurFetchBuys(rpc, binary, folder, url);
      assert.deepEqual(JSON.parse(answer.body), { report: "sunny" });
    });
    await seller.close();
  }
  await manyUsesOfOneCredential(chain, rpc, facilitator.ready);
  await stop(facilitator.child);
}

/** Uses one credential of `buyer` many times at once: one is served. Resolves with its receipt. */
export async function useAtOnce(url, buyer) {
  const headers = await credentialFor(url, buyer);
  const uses = await Promise.all(Array.from({ length: AT_ONCE }, () => fetch(url, { headers })));
  const statuses = uses.map(({ status }) => status).sort();
  assert.deepEqual(statuses, [200, ...Array(AT_ONCE - 1).fill(402)]);
  return decodePaymentResponseHeader(uses.find(({ status }) => status === 200).headers.get("payment-response"));
}

/** The official seller verifies, answers and settles every use; only the facilitator can tell that they are one. */
async function manyUsesOfOneCredential(chain, rpc, url) {
  const seller = await startExpress(facilitatorAt(url), "$0.001");
  await check(`${chain}: ${AT_ONCE} parallel uses of one credential at @x402/express behind our facilitator buy once`, async () => {
    const before = await balanceOf(rpc, PAYEE);
    const receipt = await useAtOnce(`${seller.url}/report`, CROWD);
    assertReceipt(receipt);
    await assertPaid(rpc, receipt.transaction, CROWD);
    assert.equal(await balanceOf(rpc, PAYEE), before + PRICE);
  });
  await seller.close();
}

/** Our gate behind the official facilitator, once with a node of its own to ask, once with the facilitator's word alone. */
export async function officialFacilitator(chain, rpc, binary, folder) {
  const facilitator = await startFacilitator(rpc, OFFICIAL_GAS);
  const upstream = await startUpstream();
  const nodes = [["with a node", ["--rpc", `${NETWORK}=${rpc}`]], ["without a node", []]];
  for (const [name, flags] of nodes) {
    const gate = await startOurs(binary, [
      "gate", "--upstream", upstream.url, "--price", "0.001 USD", "--network", NETWORK, "--pay-to", PAYEE,
      "--facilitator", facilitator.url, "--data-dir", `${folder}/gate-${flags.length}`, ...flags,
    ]);
    await check(`${chain}: @x402/fetch buys from our gate ${name} behind the official facilitator`, async () => {
      const settled = facilitator.seen.settle;
      await assertFetchBuys(rpc, `${gate.ready}/weather`, FETCH);
      assert.equal(facilitator.seen.settle, settled + 1);
    });
    await check(`${chain}: farebox fetch buys from our gate ${name} behind the official facilitator`, async () => {
      await assertOurFetchBuys(rpc, binary, folder, `${gate.ready}/weather`);
    });
    await stop(gate.child);
  }
  await upstream.close();
  await facilitator.close();
}
