// Solana for `solana.mjs`: our local network, what it says by its JSON-RPC, and the official SDK for it on every side.

import assert from "node:assert/strict";
import {
  airdropFactory, createKeyPairSignerFromBytes, createSolanaRpc, createSolanaRpcSubscriptions, generateKeyPairSigner,
  getBase58Encoder, lamports,
} from "@solana/kit";
import { x402Facilitator } from "@x402/core/facilitator";
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { toFacilitatorSvmSigner } from "@x402/svm";
import { ExactSvmScheme as BuyerScheme } from "@x402/svm/exact/client";
import { registerExactSvmScheme } from "@x402/svm/exact/facilitator";
import { ExactSvmScheme as SellerScheme } from "@x402/svm/exact/server";
import { ExactSvmSchemeV1 } from "@x402/svm/v1";
import { SOLANA_V1 } from "../v1/official.mjs";
import { jsonLine, serve } from "./processes.mjs";

/** Our local network, with its configuration files in `folder`: `{ rpc, network, usdc, accounts: [{ address, key }] }`. */
export async function startSolana(binary, folder) {
  const { solana } = await startNetworks(binary, folder, "solana");
  return solana;
}

/** Several local networks with one pair of configuration files, as `farebox devnet --json` tells them. */
export async function startNetworks(binary, folder, only) {
  const args = ["devnet", "--only", only, "--evm-port", "0", "--solana-port", "0", "--write", folder, "--json"];
  const { ready } = await serve(binary, args, jsonLine);
  return ready;
}

/** `@solana/kit` gives a new account `amount` by an airdrop that it sees confirmed; resolves with what the account then has. */
export async function airdrop(net, amount) {
  const rpc = createSolanaRpc(net.rpc);
  const rpcSubscriptions = createSolanaRpcSubscriptions(net.rpc.replace("http", "ws"));
  const { address } = await generateKeyPairSigner();
  const give = airdropFactory({ rpc, rpcSubscriptions });
  await give({ commitment: "confirmed", lamports: lamports(amount), recipientAddress: address });
  const { value } = await rpc.getBalance(address, { commitment: "confirmed" }).send();
  return value;
}

/** What an account has of the token, in atomic units. */
export async function holdings(net, index) {
  const accounts = createSolanaRpc(net.rpc).getTokenAccountsByOwner(
    net.accounts[index].address, { mint: net.usdc }, { commitment: "confirmed", encoding: "jsonParsed" },
  );
  const { value } = await accounts.send();
  return value.reduce((sum, { account }) => sum + BigInt(account.data.parsed.info.tokenAmount.amount), 0n);
}

/** What a transaction that succeeded has moved of the token, by the owners' addresses. */
export async function movedBy(net, signature) {
  const config = { commitment: "confirmed", encoding: "base64", maxSupportedTransactionVersion: 0 };
  const landed = await createSolanaRpc(net.rpc).getTransaction(signature, config).send();
  assert.ok(landed, `the network knows ${signature}`);
  assert.equal(landed.meta.err, null);
  const moved = new Map();
  for (const [balances, sign] of [[landed.meta.preTokenBalances, -1n], [landed.meta.postTokenBalances, 1n]]) {
    for (const { mint, owner, uiTokenAmount } of balances) {
      assert.equal(mint, net.usdc, "no other token is touched");
      moved.set(owner, (moved.get(owner) ?? 0n) + sign * BigInt(uiTokenAmount.amount));
    }
  }
  return moved;
}

function signerOf(net, index) {
  return createKeyPairSignerFromBytes(getBase58Encoder().encode(net.accounts[index].key));
}

/** What the official clients need to pay from account `index`. */
export async function payingFrom(net, index) {
  const client = new BuyerScheme(await signerOf(net, index), { rpcUrl: net.rpc });
  return { schemes: [{ network: net.network, client }] };
}

/** The official facilitator as an object in this process, paying fees from account `index`. */
export async function facilitatorOn(net, index) {
  const signer = toFacilitatorSvmSigner(await signerOf(net, index), { defaultRpcUrl: net.rpc });
  return registerExactSvmScheme(new x402Facilitator(), { signer, networks: net.network });
}

/** How the official sellers are paid here; with the URL of a node they name a blockhash in each offer. */
export function paidOn(net, payee, rpcUrl) {
  return { network: net.network, payTo: net.accounts[payee].address, scheme: new SellerScheme({ rpcUrl }) };
}

/**
 * `@x402/fetch` with the scheme of version 1 alone, which is all that it is shown of an offer:
 * `{ status, body, receipt, credential }`.
 */
export async function buyWithSchemeOfVersion1(net, url, index) {
  const client = new ExactSvmSchemeV1(await signerOf(net, index), { rpcUrl: net.rpc });
  let credential = null;
  const watched = async (request) => {
    credential = request.headers.get("x-payment") ?? credential;
    const answer = await fetch(request);
    const headers = new Headers(answer.headers);
    headers.delete("payment-required");
    return new Response(answer.body, { status: answer.status, headers });
  };
  const config = { schemes: [{ network: SOLANA_V1, client, x402Version: 1 }] };
  const response = await wrapFetchWithPaymentFromConfig(watched, config)(url);
  const receipt = response.headers.get("x-payment-response");
  return {
    status: response.status,
    body: await response.json(),
    receipt: receipt && decodePaymentResponseHeader(receipt),
    credential,
  };
}
