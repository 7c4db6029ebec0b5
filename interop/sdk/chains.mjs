// The two chains that every payment is tried on: our own devnet, and anvil with the same token at the same address.
// Both have the ten well-known development accounts: 0 pays gas, 1 to 8 buy, 9 is paid.

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import {
  createPublicClient, createWalletClient, encodeAbiParameters, http, parseAbi, parseEventLogs,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";
import { baseSepolia } from "viem/chains";
import { freePort, jsonLine, serve } from "./processes.mjs";

export const NETWORK = "eip155:84532";
export const TOKEN = "0x036CbD53842c5426634e7929541eC2318f3dCF7e";
const MULTICALL = baseSepolia.contracts.multicall3.address;
const FUNDS = 1_000_000_000_000n; // 1,000,000 with 6 decimals
const WORDS = "test test test test test test test test test test test junk";
export const CONTRACTS = new URL("../../contracts/artifacts/", import.meta.url);
const ANVIL_PLATFORM = `${process.platform}-${process.arch === "x64" ? "amd64" : process.arch}`;
const ANVIL = fileURLToPath(new URL(`../node_modules/@foundry-rs/anvil-${ANVIL_PLATFORM}/bin/anvil`, import.meta.url));

export const tokenAbi = parseAbi([
  "function balanceOf(address) view returns (uint256)",
  "function mint(address to, uint256 value) returns (bool)",
  "function name() view returns (string)",
  "event Transfer(address indexed from, address indexed to, uint256 value)",
]);

/** Development account number `index`. */
export function account(index) {
  return mnemonicToAccount(WORDS, { addressIndex: index });
}

/** Its private key as 0x and 64 digits. */
export function keyOf(index) {
  return `0x${Buffer.from(account(index).getHdKey().privateKey).toString("hex")}`;
}

export function publicClient(rpc) {
  return createPublicClient({ chain: baseSepolia, transport: http(rpc), pollingInterval: 100 });
}

export function walletClient(rpc, index) {
  return createWalletClient({ account: account(index), chain: baseSepolia, transport: http(rpc) });
}

/** Our devnet; leaves the configuration files in `folder`. */
export async function startDevnet(binary, folder) {
  const args = ["devnet", "--only", "evm", "--evm-port", "0", "--write", folder, "--json"];
  const { ready } = await serve(binary, args, (line) => jsonLine(line)?.evm);
  return ready.rpc;
}

/** Anvil, with the token of `contracts/` where Base Sepolia has USDC, and Multicall3 where every chain has it. */
export async function startAnvil() {
  const port = await freePort();
  const args = ["--chain-id", "84532", "--gas-limit", "300000000", "--port", String(port)];
  await serve(ANVIL, args, (line) => line.startsWith("Listening on"));
  const rpc = `http://127.0.0.1:${port}`;
  await placeToken(rpc);
  const multicall = await readFile(new URL("Multicall3.runtime.hex", CONTRACTS), "utf8");
  await publicClient(rpc).request({ method: "anvil_setCode", params: [MULTICALL, `0x${multicall.trim().replace(/^0x/, "")}`] });
  return rpc;
}

/** Runs the constructor as a call, which answers the runtime code, and puts that code at the token's address. */
async function placeToken(rpc) {
  const client = publicClient(rpc);
  const creation = (await readFile(new URL("Usd.creation.hex", CONTRACTS), "utf8")).trim().replace(/^0x/, "");
  const minter = account(0);
  const types = [{ type: "string" }, { type: "string" }, { type: "string" }, { type: "uint8" }, { type: "address" }];
  const settings = encodeAbiParameters(types, ["USDC", "USDC", "2", 6, minter.address]);
  const { data: runtime } = await client.call({ data: `0x${creation}${settings.slice(2)}` });
  await client.request({ method: "anvil_setCode", params: [TOKEN, runtime] });
  const wallet = walletClient(rpc, 0);
  for (let index = 0; index < 10; index += 1) {
    const args = [account(index).address, FUNDS];
    const hash = await wallet.writeContract({ address: TOKEN, abi: tokenAbi, functionName: "mint", args });
    await client.waitForTransactionReceipt({ hash });
  }
}

export function balanceOf(rpc, address) {
  return publicClient(rpc).readContract({ address: TOKEN, abi: tokenAbi, functionName: "balanceOf", args: [address] });
}

/** The token transfers of a mined transaction, as `{ from, to, value }`. */
export async function transfersOf(rpc, hash) {
  const receipt = await publicClient(rpc).getTransactionReceipt({ hash });
  const logs = receipt.logs.filter((log) => log.address.toLowerCase() === TOKEN.toLowerCase());
  return parseEventLogs({ abi: tokenAbi, eventName: "Transfer", logs }).map((log) => log.args);
}
