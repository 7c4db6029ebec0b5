// Whether viem's and ethers' ordinary clients work with the devnet at RPC_URL: `node interop/devnet/check.mjs RPC_URL`.
// Exit 0 if all of it holds. Uses accounts 6 (viem) and 7 (ethers) of the development mnemonic.

import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { Contract, JsonRpcProvider, Wallet, WebSocketProvider, isError } from "ethers";
import {
  BaseError, ContractFunctionRevertedError, createPublicClient, createWalletClient, encodeFunctionData, http, parseAbi,
  parseSignature, webSocket, zeroAddress,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { baseSepolia } from "viem/chains";

const TOKEN = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
const PAYEE = "0x00000000000000000000000000000000000c0ffe";
const WORDS = "test test test test test test test test test test test junk";
const PATIENCE_MS = 20_000;
const ABI = [
  "function name() view returns (string)",
  "function balanceOf(address owner) view returns (uint256)",
  "function authorizationState(address authorizer, bytes32 nonce) view returns (bool)",
  "function transfer(address to, uint256 value) returns (bool)",
  "function transferWithAuthorization(address from, address to, uint256 value, uint256 validAfter, uint256 validBefore, bytes32 nonce, uint8 v, bytes32 r, bytes32 s)",
  "event Transfer(address indexed from, address indexed to, uint256 value)",
  "event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce)",
];
const abi = parseAbi(ABI);
const domain = { name: "USDC", version: "2", chainId: 84532, verifyingContract: TOKEN };
const types = {
  TransferWithAuthorization: [
    { name: "from", type: "address" }, { name: "to", type: "address" }, { name: "value", type: "uint256" },
    { name: "validAfter", type: "uint256" }, { name: "validBefore", type: "uint256" }, { name: "nonce", type: "bytes32" },
  ],
};

const rpc = process.argv[2];
if (!rpc) {
  console.error("usage: node interop/devnet/check.mjs RPC_URL");
  process.exit(2);
}
const ws = rpc.replace(/^http/, "ws");

/** Fails instead of waiting for ever. */
async function within(promise, what) {
  const stop = new AbortController();
  const late = sleep(PATIENCE_MS, undefined, { signal: stop.signal }).then(() => assert.fail(`no ${what} within ${PATIENCE_MS} ms`));
  late.catch(() => {});
  try {
    return await Promise.race([promise, late]);
  } finally {
    stop.abort();
  }
}

function deferred() {
  const parts = {};
  parts.promise = new Promise((resolve, reject) => Object.assign(parts, { resolve, reject }));
  return parts;
}

function randomNonce() {
  return `0x${Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("hex")}`;
}

async function viemReadsAndSends(account) {
  const client = createPublicClient({ chain: baseSepolia, transport: http(rpc), pollingInterval: 100 });
  const wallet = createWalletClient({ account, chain: baseSepolia, transport: http(rpc) });
  assert.equal(await client.getChainId(), 84532);
  assert.equal(await client.readContract({ address: TOKEN, abi, functionName: "name" }), "USDC");
  const hash = await wallet.sendTransaction({ to: PAYEE, value: 1n });
  const receipt = await client.waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, "success");
  assert.equal((await client.getTransaction({ hash })).from.toLowerCase(), account.address.toLowerCase());
  assert.equal((await client.getBlock({ blockHash: receipt.blockHash, includeTransactions: true })).transactions[0].hash, hash);
  const [balance, used] = await client.multicall({
    contracts: [
      { address: TOKEN, abi, functionName: "balanceOf", args: [account.address] },
      { address: TOKEN, abi, functionName: "authorizationState", args: [account.address, randomNonce()] },
    ],
    allowFailure: false,
  });
  assert.ok(balance > 0n && used === false);
}

async function viemSettlesAnAuthorization(account) {
  const client = createPublicClient({ chain: baseSepolia, transport: http(rpc), pollingInterval: 100 });
  const wallet = createWalletClient({ account, chain: baseSepolia, transport: http(rpc) });
  const message = { from: account.address, to: PAYEE, value: 7n, validAfter: 0n, validBefore: 2n ** 48n, nonce: randomNonce() };
  const signature = parseSignature(await account.signTypedData({ domain, types, primaryType: "TransferWithAuthorization", message }));
  const args = [...Object.values(message), Number(signature.v), signature.r, signature.s];
  const call = { address: TOKEN, abi, functionName: "transferWithAuthorization", args, account };
  await client.simulateContract(call);
  const receipt = await client.waitForTransactionReceipt({ hash: await wallet.writeContract(call) });
  const filter = { address: TOKEN, event: abi.find((item) => item.name === "AuthorizationUsed"), args: { nonce: message.nonce } };
  const logs = await client.getLogs({ ...filter, fromBlock: receipt.blockNumber });
  assert.deepEqual(logs.map((log) => log.transactionHash), [receipt.transactionHash]);
  await assert.rejects(client.simulateContract(call), (error) => {
    const reverted = error instanceof BaseError && error.walk((cause) => cause instanceof ContractFunctionRevertedError);
    assert.equal(reverted?.reason, "FiatTokenV2: authorization is used or canceled");
    return true;
  });
}

async function viemDelegates(account) {
  const client = createPublicClient({ chain: baseSepolia, transport: http(rpc), pollingInterval: 100 });
  const wallet = createWalletClient({ account, chain: baseSepolia, transport: http(rpc) });
  const delegate = async (contractAddress, data) => {
    const authorization = await wallet.signAuthorization({ contractAddress, executor: "self" });
    const hash = await wallet.sendTransaction({ authorizationList: [authorization], to: account.address, data });
    assert.equal((await client.waitForTransactionReceipt({ hash })).status, "success");
    return client.getCode({ address: account.address });
  };
  const code = await delegate(TOKEN, encodeFunctionData({ abi, functionName: "name" }));
  assert.equal(code.toLowerCase(), `0xef0100${TOKEN.slice(2)}`.toLowerCase());
  assert.equal(await delegate(zeroAddress, "0x"), undefined, "the zero address takes the delegation back");
}

async function viemWatches(account) {
  for (const transport of [http(rpc), webSocket(ws)]) {
    const client = createPublicClient({ chain: baseSepolia, transport, pollingInterval: 100 });
    const wallet = createWalletClient({ account, chain: baseSepolia, transport: http(rpc) });
    const head = await client.getBlockNumber({ cacheTime: 0 });
    const block = deferred();
    const transfer = deferred();
    const stops = [
      client.watchBlocks({ onBlock: (seen) => seen.number > head && block.resolve(), onError: block.reject }),
      client.watchContractEvent({ address: TOKEN, abi, eventName: "Transfer", onLogs: transfer.resolve, onError: transfer.reject }),
    ];
    // Subscriptions and filters are made in the background, so money is sent until one is seen.
    const sending = new AbortController();
    const sent = (async () => {
      while (!sending.signal.aborted) {
        const hash = await wallet.writeContract({ address: TOKEN, abi, functionName: "transfer", args: [PAYEE, 1n] });
        await client.waitForTransactionReceipt({ hash });
        await sleep(200);
      }
    })();
    try {
      await within(Promise.all([block.promise, transfer.promise]), `block and transfer over ${client.transport.type}`);
    } finally {
      sending.abort();
      await sent;
      for (const stop of stops) stop();
    }
    if (client.transport.type === "webSocket") (await client.transport.getRpcClient()).close();
  }
}

async function ethersReadsAndSends(key) {
  const provider = new JsonRpcProvider(rpc, undefined, { pollingInterval: 100 });
  const wallet = new Wallet(key, provider);
  assert.equal((await provider.getNetwork()).chainId, 84532n);
  const token = new Contract(TOKEN, ABI, wallet);
  const before = await token.balanceOf(PAYEE);
  const sent = await token.transfer(PAYEE, 5n);
  const receipt = await within(sent.wait(), "ethers receipt");
  assert.equal(receipt.status, 1);
  assert.ok(await token.balanceOf(PAYEE) >= before + 5n);
  const logs = await token.queryFilter(token.filters.Transfer(wallet.address, PAYEE), receipt.blockNumber, receipt.blockNumber);
  assert.deepEqual(logs.map((log) => log.transactionHash), [receipt.hash]);
  await assert.rejects(token.transfer.staticCall(PAYEE, 2n ** 200n), (error) => {
    assert.ok(isError(error, "CALL_EXCEPTION"), error.code);
    assert.equal(error.reason, "ERC20: transfer amount exceeds balance");
    return true;
  });
  await assert.rejects(wallet.sendTransaction({ to: PAYEE, nonce: 0, gasLimit: 21_000 }), (error) => isError(error, "NONCE_EXPIRED"));
  const block = deferred();
  await provider.once("block", block.resolve);
  await within(block.promise, "ethers block by polling");
  provider.destroy();
}

async function ethersListens(key) {
  const provider = new WebSocketProvider(ws);
  const token = new Contract(TOKEN, ABI, new Wallet(key, provider));
  const block = deferred();
  const transfer = deferred();
  await provider.once("block", block.resolve);
  await token.once("Transfer", (...seen) => transfer.resolve(seen));
  await (await token.transfer(PAYEE, 3n)).wait();
  await within(block.promise, "ethers block by subscription");
  assert.ok((await within(transfer.promise, "ethers transfer by subscription")).length >= 3);
}

const account = mnemonicToAccount(WORDS, { addressIndex: 6 });
const other = mnemonicToAccount(WORDS, { addressIndex: 7 });
const key = `0x${Buffer.from(other.getHdKey().privateKey).toString("hex")}`;
const checks = [
  ["viem reads, sends and multicalls", () => viemReadsAndSends(account)],
  ["viem settles an authorization and decodes its refusal", () => viemSettlesAnAuthorization(account)],
  ["viem watches blocks and events, by polling and by subscription", () => viemWatches(account)],
  ["viem delegates an account by EIP-7702", () => viemDelegates(account)],
  ["ethers reads, sends, finds logs and decodes refusals", () => ethersReadsAndSends(key)],
  ["ethers listens by subscription", () => ethersListens(key)],
];
for (const [name, check] of checks) {
  await check();
  console.log(`ok: ${name}`);
}
// ethers unsubscribes in the background and its socket would keep the process alive; nothing is left to wait for.
process.exit(0);
