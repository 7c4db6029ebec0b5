// Whether the devnet does what anvil does: `node interop/devnet/oracle.mjs DEVNET_RPC ANVIL_RPC`, exit 0 if so.
// The same transactions and calls go to both; gas, status, logs and the token's refusals must be equal to the last bit.
// Both chains need the token at Base Sepolia's address. Uses account 5 of the development mnemonic on both.

import assert from "node:assert/strict";
import { createPublicClient, createWalletClient, encodeFunctionData, http, parseAbi, parseSignature, zeroAddress } from "viem";
import { generatePrivateKey, mnemonicToAccount, privateKeyToAccount } from "viem/accounts";
import { baseSepolia } from "viem/chains";

const TOKEN = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
const WORDS = "test test test test test test test test test test test junk";
const sender = mnemonicToAccount(WORDS, { addressIndex: 5 });
// Fresh on both chains, whatever was done there before: first credits cost more gas than later ones.
const payee = privateKeyToAccount(generatePrivateKey()).address;
const abi = parseAbi([
  "function transfer(address to, uint256 value) returns (bool)",
  "function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)",
  "function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, bytes signature)",
]);
const types = {
  TransferWithAuthorization: [
    { name: "from", type: "address" }, { name: "to", type: "address" }, { name: "value", type: "uint256" },
    { name: "validAfter", type: "uint256" }, { name: "validBefore", type: "uint256" }, { name: "nonce", type: "bytes32" },
  ],
};
const domain = { name: "USDC", version: "2", chainId: 84532, verifyingContract: TOKEN };

const urls = process.argv.slice(2);
if (urls.length !== 2) {
  console.error("usage: node interop/devnet/oracle.mjs DEVNET_RPC ANVIL_RPC");
  process.exit(2);
}

/** Call data of an authorized transfer, with `v, r, s` or with the signature as bytes. */
async function authorized(change, asBytes) {
  const nonce = `0x${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex")}`;
  const message = { from: sender.address, to: payee, value: 7n, validAfter: 0n, validBefore: 2n ** 48n, nonce, ...change };
  const signed = await sender.signTypedData({ domain, types, primaryType: "TransferWithAuthorization", message });
  const { v, r, s } = parseSignature(signed);
  const signature = asBytes ? [signed] : [Number(v), r, s];
  return encodeFunctionData({ abi, functionName: "transferWithAuthorization", args: [...Object.values(message), ...signature] });
}

async function scenarios() {
  const good = await authorized({}, false);
  const move = (value) => encodeFunctionData({ abi, functionName: "transfer", args: [payee, value] });
  return [
    ["a settlement with v, r, s", { to: TOKEN, data: good }],
    ["the same again", { to: TOKEN, data: good }],
    ["a settlement with bytes", { to: TOKEN, data: await authorized({}, true) }],
    ["an expired one", { to: TOKEN, data: await authorized({ validBefore: 1n }, false) }],
    ["one that is not yet valid", { to: TOKEN, data: await authorized({ validAfter: 2n ** 47n }, true) }],
    ["one by somebody else", { to: TOKEN, data: await authorized({ from: payee }, false) }],
    ["one beyond the balance", { to: TOKEN, data: await authorized({ value: 2n ** 100n }, true) }],
    ["one to nobody", { to: TOKEN, data: await authorized({ to: zeroAddress }, true) }],
    ["a transfer", { to: TOKEN, data: move(5n) }],
    ["a transfer beyond the balance", { to: TOKEN, data: move(2n ** 100n) }],
    ["a call of nothing that exists", { to: TOKEN, data: "0x12345678" }],
    ["ether", { to: payee, value: 1n, data: "0x" }],
    ["a new contract", { data: "0x6001600055600a600c600039600a6000f3602a60005260206000f3" }],
  ];
}

/** What a chain makes of a transaction: first as a call, then mined. */
async function outcome(url, transaction) {
  const client = createPublicClient({ chain: baseSepolia, transport: http(url), pollingInterval: 50 });
  const wallet = createWalletClient({ account: sender, chain: baseSepolia, transport: http(url) });
  const fields = Object.entries({ from: sender.address, ...transaction });
  const request = Object.fromEntries(fields.map(([name, value]) => [name, typeof value === "bigint" ? `0x${value.toString(16)}` : value]));
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "eth_call", params: [request, "latest"] });
  const reply = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { result, error } = await reply.json();
  const hash = await wallet.sendTransaction({ ...transaction, gas: 500_000n });
  const receipt = await client.waitForTransactionReceipt({ hash });
  return {
    call: error ? { code: error.code, message: error.message, data: error.data } : result,
    status: receipt.status,
    gasUsed: receipt.gasUsed,
    logs: receipt.logs.map(({ address, topics, data }) => ({ address, topics, data })),
  };
}

for (const [name, transaction] of await scenarios()) {
  const [ours, anvils] = [await outcome(urls[0], transaction), await outcome(urls[1], transaction)];
  assert.deepEqual(ours, anvils, name);
  console.log(`ok: ${name}: ${ours.status}, ${ours.gasUsed} gas`);
}
