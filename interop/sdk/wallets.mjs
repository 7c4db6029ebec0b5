// Smart wallets that buy with what viem signs: one that is deployed (ERC-1271), one that its first payment deploys
// (ERC-6492). Called by `main.mjs`.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { encodeFunctionData, parseAbi, serializeErc6492Signature } from "viem";
import { account, balanceOf, CONTRACTS, publicClient, TOKEN, transfersOf, walletClient } from "./chains.mjs";
import { buyWithFetch, facilitatorAt, facilitatorHere, startExpress } from "./official.mjs";
import { assertReceipt, CROWD, OFFICIAL_GAS, PAYEE, PRICE, startOurFacilitator } from "./parties.mjs";
import { stop } from "./processes.mjs";
import { check } from "./report.mjs";

const OWNER = CROWD; // its key signs for both wallets, and it pays for their making
const FUNDS = 10n * PRICE;
const factoryAbi = parseAbi([
  "function deploy(address owner, bytes32 salt) returns (address)",
  "function walletOf(address owner, bytes32 salt) view returns (address)",
]);
const tokenAbi = parseAbi(["function transfer(address to, uint256 value) returns (bool)"]);

async function mined(rpc, hash) {
  const receipt = await publicClient(rpc).waitForTransactionReceipt({ hash });
  assert.equal(receipt.status, "success", hash);
  return receipt;
}

/** The factory of `contracts/`, as any smart wallet has one. */
export async function deployFactory(rpc) {
  const creation = (await readFile(new URL("WalletFactory.creation.hex", CONTRACTS), "utf8")).trim().replace(/^(0x)?/, "0x");
  const hash = await walletClient(rpc, OWNER).deployContract({ abi: factoryAbi, bytecode: creation });
  return (await mined(rpc, hash)).contractAddress;
}

/** The wallet with this number, with money and not deployed yet; as a buyer it signs with what `sign` makes of its owner's signature. */
async function wallet(rpc, factory, number, sign) {
  const salt = `0x${number.toString(16).padStart(64, "0")}`;
  const args = [account(OWNER).address, salt];
  const address = await publicClient(rpc).readContract({ address: factory, abi: factoryAbi, functionName: "walletOf", args });
  const owner = walletClient(rpc, OWNER);
  await mined(rpc, await owner.writeContract({ address: TOKEN, abi: tokenAbi, functionName: "transfer", args: [address, FUNDS] }));
  const signTypedData = async (typed) => sign(await account(OWNER).signTypedData(typed), args);
  return { address, args, signTypedData };
}

async function deployedWallet(rpc, factory, number) {
  const buyer = await wallet(rpc, factory, number, (signature) => signature);
  const owner = walletClient(rpc, OWNER);
  await mined(rpc, await owner.writeContract({ address: factory, abi: factoryAbi, functionName: "deploy", args: buyer.args }));
  return buyer;
}

function counterfactualWallet(rpc, factory, number) {
  return wallet(rpc, factory, number, (signature, args) => {
    const data = encodeFunctionData({ abi: factoryAbi, functionName: "deploy", args });
    return serializeErc6492Signature({ address: factory, data, signature });
  });
}

async function assertWalletBuys(rpc, url, buyer) {
  const before = await balanceOf(rpc, PAYEE);
  const bought = await buyWithFetch(url, buyer);
  assert.equal(bought.status, 200, JSON.stringify(bought));
  assertReceipt(bought.receipt);
  const transfers = await transfersOf(rpc, bought.receipt.transaction);
  assert.deepEqual(transfers.map(({ from, to, value }) => [from, to, value]), [[buyer.address, PAYEE, PRICE]]);
  assert.equal(await balanceOf(rpc, PAYEE), before + PRICE);
  assert.equal(await balanceOf(rpc, buyer.address), FUNDS - PRICE);
  const code = await publicClient(rpc).getCode({ address: buyer.address });
  assert.ok(code?.length > 2, "the wallet is deployed");
}

async function bothWallets(chain, rpc, factory, first, whose, facilitator) {
  const seller = await startExpress(facilitator, "$0.001");
  const url = `${seller.url}/report`;
  await check(`${chain}: ${whose} settles what a smart wallet signed (ERC-1271)`, async () => {
    await assertWalletBuys(rpc, url, await deployedWallet(rpc, factory, first));
  });
  await check(`${chain}: ${whose} settles what a wallet signed that is not deployed yet (ERC-6492)`, async () => {
    await assertWalletBuys(rpc, url, await counterfactualWallet(rpc, factory, first + 1));
  });
  await seller.close();
}

/** The official facilitator settles the same: if this fails, the wallets are at fault. */
export async function walletControls(chain, rpc, factory) {
  await bothWallets(chain, rpc, factory, 1, "control: the official facilitator", facilitatorHere(rpc, OFFICIAL_GAS, [factory]));
}

/** Ours, which calls this factory and no other. */
export async function smartWallets(chain, rpc, factory, binary, folder) {
  const facilitator = await startOurFacilitator(binary, folder, `erc6492_factories = ["${factory}"]\n`);
  await bothWallets(chain, rpc, factory, 3, "our facilitator", facilitatorAt(facilitator.ready));
  await check(`${chain}: our facilitator calls no factory that it was not told of`, async () => {
    const seller = await startExpress(facilitatorAt(facilitator.ready), "$0.001");
    const other = await deployFactory(rpc);
    const buyer = await counterfactualWallet(rpc, other, 1);
    const bought = await buyWithFetch(`${seller.url}/report`, buyer);
    assert.equal(bought.status, 402, JSON.stringify(bought));
    assert.equal(await balanceOf(rpc, buyer.address), FUNDS);
    await seller.close();
  });
  await stop(facilitator.child);
}
