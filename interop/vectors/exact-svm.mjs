// Writes `conformance/x402/exact-svm.json` with the clients of npm `@x402/svm`, which ask a node that is made up here. Run it after
// `npm ci --prefix interop`:
//
//     node interop/vectors/exact-svm.mjs
//
// The same input gives the same file: key, blockhash and random bytes are fixed.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { createKeyPairSignerFromPrivateKeyBytes, getBase58Decoder, getTransactionDecoder } from "@solana/kit";
import { ExactSvmScheme } from "@x402/svm/exact/client";
import { ExactSvmSchemeV1 } from "@x402/svm/exact/v1/client";

const TOKEN = "TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA";
const TOKEN_2022 = "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb";
const DEVNET = "solana:EtWTRABZaYq6iMfeYKouRu166VU2xqa1";
const USDC = "4zMMC9srt5Ri5X14GAgXhaHii3GnPAEERYPJgZJDncDU";
const PYUSD = "CXk2AMBfi3TwaEL2468s6zP8xq9NxTXjp9gjMgzeUynM";
const NINE = "So11111111111111111111111111111111111111112";

const base58 = (bytes) => getBase58Decoder().decode(bytes);
const filled = (byte) => new Uint8Array(32).fill(byte);
const seed = Uint8Array.from({ length: 32 }, (_, place) => place + 1);
const payTo = base58(filled(0x22));
const feePayer = base58(filled(0x33));
const blockhash = base58(filled(0x44));

/** The mints of the node: program and decimals. */
const MINTS = { [USDC]: [TOKEN, 6], [PYUSD]: [TOKEN_2022, 6], [NINE]: [TOKEN, 9] };

function mint(decimals) {
  const data = Buffer.alloc(82);
  data.writeUInt8(decimals, 44);
  data.writeUInt8(1, 45);
  return data.toString("base64");
}

globalThis.fetch = async (_, { body }) => {
  const { id, method, params } = JSON.parse(body);
  const context = { slot: 1 };
  const value = {
    getAccountInfo: () => {
      const [owner, decimals] = MINTS[params[0]];
      return { data: [mint(decimals), "base64"], executable: false, lamports: 1, owner, rentEpoch: 0, space: 82 };
    },
    getLatestBlockhash: () => ({ blockhash, lastValidBlockHeight: 151 }),
  }[method]();
  return new Response(JSON.stringify({ jsonrpc: "2.0", id, result: { context, value } }));
};
globalThis.crypto.getRandomValues = (bytes) => bytes.fill(0xa5);

const signer = await createKeyPairSignerFromPrivateKeyBytes(seed);

async function written(name, version, asset, amount, extra) {
  const offer = { scheme: "exact", network: DEVNET, asset, amount, payTo, maxTimeoutSeconds: 60, extra: { feePayer, ...extra } };
  const asked = version === 1 ? { ...offer, network: "solana-devnet", maxAmountRequired: amount } : offer;
  const client = version === 1 ? new ExactSvmSchemeV1(signer) : new ExactSvmScheme(signer);
  const { payload } = await client.createPaymentPayload(version, asked);
  const bytes = Buffer.from(payload.transaction, "base64");
  const transaction = getTransactionDecoder().decode(bytes);
  const message = Buffer.from(transaction.messageBytes);
  assert.equal(transaction.signatures[feePayer], null);
  const [tokenProgram, decimals] = MINTS[asset];
  return {
    name,
    x402Version: version,
    requirements: offer,
    tokenProgram,
    decimals,
    blockhash: extra.recentBlockhash ?? blockhash,
    memo: extra.memo ?? "a5".repeat(16),
    payload,
    messageSha256: createHash("sha256").update(message).digest("hex"),
    payerSignature: base58(transaction.signatures[signer.address]),
    bytes: bytes.length,
  };
}

const offered = { recentBlockhash: base58(filled(0x55)), lastValidBlockHeight: "151" };
const cases = [
  await written("a memo of 16 random bytes in hex", 2, USDC, "10000", {}),
  await written("a memo and a blockhash of the offer", 2, USDC, "1", { memo: "order 7 ☕", ...offered }),
  await written("the longest memo", 2, USDC, "10000", { memo: "m".repeat(256) }),
  await written("a mint of Token-2022", 2, PYUSD, "10000", { memo: "order 7" }),
  await written("the largest amount, and nine decimals", 2, NINE, "18446744073709551615", { memo: "order 7" }),
  await written("version 1", 1, USDC, "10000", { memo: "order 7" }),
];
const about = "Transactions of scheme exact on Solana, as the clients of npm @x402/svm 2.27.0 sign them: `seed` is the payer's ed25519 seed in hex, never fund it. Where the offer has no memo, its 16 random bytes are all a5. Written by interop/vectors/exact-svm.mjs.";
const file = { about, seed: Buffer.from(seed).toString("hex"), payer: signer.address, cases };
await writeFile(new URL("../../conformance/x402/exact-svm.json", import.meta.url), `${JSON.stringify(file, null, 2)}\n`);
