// Who takes part in every check, what a purchase costs, and our own commands. Used by the parts that `main.mjs` runs.

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { account, NETWORK, transfersOf } from "./chains.mjs";
import { jsonLine, run, serve } from "./processes.mjs";

export const PRICE = 1_000n; // 0.001 USD with 6 decimals
export const PAYEE = account(9).address;
// Accounts of the development mnemonic, one for each party, so that nonces and balances never mix. Our own
// facilitator pays gas from 0, `farebox fetch` buys from 1.
export const [OURS, FETCH, AXIOS, SPENDER, CONTROL, VERSION_1, CROWD, OFFICIAL_GAS] = [1, 2, 3, 4, 5, 6, 7, 8];
// A page pays what `@x402/fetch` pays elsewhere, and at another time.
export const PAGE = FETCH;

/** The transaction moved exactly the price from somebody to the payee. */
export async function assertPaid(rpc, hash, payer) {
  assert.match(hash ?? "", /^0x[0-9a-f]{64}$/i, "a transaction hash");
  const transfers = await transfersOf(rpc, hash);
  const match = transfers.filter((transfer) => transfer.value === PRICE && transfer.to === PAYEE);
  assert.equal(match.length, 1, `one transfer of the price in ${hash}`);
  if (payer !== undefined) assert.equal(match[0].from, account(payer).address);
}

/** The seller's receipt says that it was paid, on this network. Version 1 calls the network by another name. */
export function assertReceipt(receipt, network = NETWORK) {
  assert.equal(receipt?.success, true, `the receipt says success: ${JSON.stringify(receipt)}`);
  assert.equal(receipt.network, network);
}

/** `farebox COMMAND`, once it listens: `{ child, ready }`, where `ready` is its URL. */
export function startOurs(binary, args) {
  return serve(binary, [...args, "--listen", "127.0.0.1:0", "--json"], (line) => jsonLine(line)?.listening);
}

/** Our gate by the devnet's files, with the gas key of account 0. */
export function startGate(binary, folder, upstream, price) {
  return startOurs(binary, ["gate", "--config", join(folder, "seller.toml"), "--upstream", upstream, "--price", price]);
}

/** Our facilitator by the same files, with a ledger of its own. */
export async function startOurFacilitator(binary, folder, more = "") {
  const seller = await readFile(join(folder, "seller.toml"), "utf8");
  const file = join(folder, "facilitator.toml");
  await writeFile(file, seller.replace("seller.db", "facilitator.db") + more);
  return startOurs(binary, ["facilitator", "--config", file]);
}

/** `farebox fetch` by the devnet's files: its exit code and its one object. */
export async function ourFetch(binary, folder, args) {
  const { exit, stdout, stderr } = await run(binary, ["fetch", "--config", join(folder, "buyer.toml"), "--json", ...args]);
  assert.ok(stdout.startsWith("{"), `fetch prints one object: exit ${exit}, ${stderr.trim()}`);
  return { exit, answer: JSON.parse(stdout), stderr };
}

/** `farebox fetch` buys, and the chain agrees with what it prints. */
export async function assertOurFetchBuys(rpc, binary, folder, url) {
  const { exit, answer } = await ourFetch(binary, folder, [url]);
  assert.equal(exit, 0, JSON.stringify(answer.error));
  assert.equal(answer.status, 200);
  assert.equal(answer.payment.state, "settled", JSON.stringify(answer.payment));
  assert.equal(answer.payment.amount.atomic, PRICE.toString());
  await assertPaid(rpc, answer.payment.transaction, OURS);
  return answer;
}
