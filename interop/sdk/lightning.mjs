// A Lightning network of software that we did not write: a btcd chain in regtest, two lnd nodes with a channel between
// them, and aperture. Called by `l402.mjs`. Everything listens on loopback and keeps its files in one folder.

import { mkdir, readFile } from "node:fs/promises";
import { request } from "node:https";
import { join } from "node:path";
import { quietPort, serve, stop } from "./processes.mjs";

const RPC_USER = "interop";
const RPC_PASSWORD = "interop";
const MATURITY_BLOCKS = 450; // segwit is there after three windows of 144, and a coinbase can be spent after a hundred
const CHANNEL_BLOCKS = 6;
const CHANNEL_SATS = 10_000_000;
const PUSH_SATS = 4_000_000;
const PATIENCE_MS = 120_000;
const POLL_MS = 200;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks until the answer is there; what fails meanwhile is not ready yet. */
export async function until(what, ask) {
  const deadline = Date.now() + PATIENCE_MS;
  let last = "nothing";
  while (Date.now() < deadline) {
    try {
      const found = await ask();
      if (found) return found;
    } catch (error) {
      last = error.message;
    }
    await sleep(POLL_MS);
  }
  throw new Error(`${what}: not within ${PATIENCE_MS} ms (${last})`);
}

/** One request over TLS with this certificate alone: the JSON of the answer. */
export function ask(url, { cert, method = "GET", headers = {}, body } = {}) {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const sent = request(url, { ca: cert, method, headers: { "content-type": "application/json", ...headers } }, (answer) => {
      let said = "";
      answer.on("data", (bytes) => (said += bytes));
      answer.on("end", () => {
        const ok = answer.statusCode < 300;
        if (!ok) return reject(new Error(`${method} ${url}: ${answer.statusCode} ${said.slice(0, 300)}`));
        // A stream of one line is one answer.
        resolve(JSON.parse(said.trim().split("\n").at(-1)));
      });
    });
    sent.on("error", reject);
    sent.end(text);
  });
}

async function startChain(tools, folder, ports, minerAddress) {
  const args = ["--regtest", "--nodnsseed", "--txindex", `--datadir=${join(folder, "data")}`, `--logdir=${join(folder, "logs")}`,
    `--configfile=${join(folder, "none.conf")}`, `--rpccert=${join(folder, "rpc.cert")}`, `--rpckey=${join(folder, "rpc.key")}`,
    `--rpcuser=${RPC_USER}`, `--rpcpass=${RPC_PASSWORD}`, `--rpclisten=127.0.0.1:${ports.rpc}`, `--listen=127.0.0.1:${ports.p2p}`,
    ...(minerAddress ? [`--miningaddr=${minerAddress}`] : [])];
  const { child } = await serve(join(tools, "btcd"), args, (line) => /RPC server listening/.test(line));
  const cert = await until("btcd's certificate", () => readFile(join(folder, "rpc.cert")));
  const basic = Buffer.from(`${RPC_USER}:${RPC_PASSWORD}`).toString("base64");
  const call = async (method, params = []) => {
    const body = { jsonrpc: "1.0", id: 1, method, params };
    return (await ask(`https://127.0.0.1:${ports.rpc}/`, { cert, method: "POST", headers: { authorization: `Basic ${basic}` }, body })).result;
  };
  return { child, ports, certPath: join(folder, "rpc.cert"), mine: (blocks) => call("generate", [blocks]) };
}

/** An lnd with its REST face: `{ child, url, cert, macaroon, folder, api(path, options) }`. */
async function startLnd(tools, folder, chain, ports) {
  const args = [`--lnddir=${folder}`, "--noseedbackup", "--bitcoin.regtest", "--bitcoin.node=btcd",
    `--btcd.rpchost=127.0.0.1:${chain.ports.rpc}`, `--btcd.rpcuser=${RPC_USER}`, `--btcd.rpcpass=${RPC_PASSWORD}`,
    `--btcd.rpccert=${chain.certPath}`, `--rpclisten=127.0.0.1:${ports.rpc}`, `--restlisten=127.0.0.1:${ports.rest}`,
    `--listen=127.0.0.1:${ports.p2p}`, "--trickledelay=50", "--maxpendingchannels=5", "--bitcoin.defaultchanconfs=1"];
  const { child } = await serve(join(tools, "lnd"), args, (line) => /RPC server listening|gRPC proxy started/.test(line));
  const cert = await until("lnd's certificate", () => readFile(join(folder, "tls.cert")));
  const macaroonPath = join(folder, "data/chain/bitcoin/regtest/admin.macaroon");
  const macaroon = await until("lnd's macaroon", async () => (await readFile(macaroonPath)).toString("hex"));
  const url = `https://127.0.0.1:${ports.rest}`;
  const api = (path, options = {}) => ask(`${url}${path}`, { ...options, cert, headers: { "grpc-metadata-macaroon": macaroon } });
  await until("lnd is there", () => api("/v1/getinfo"));
  return { child, folder, url, cert, certPath: join(folder, "tls.cert"), macaroon, macaroonPath, ports, api };
}

const synced = (node) => until("lnd follows the chain", async () => (await node.api("/v1/getinfo")).synced_to_chain);
const pubkey = async (node) => (await node.api("/v1/getinfo")).identity_pubkey;

/**
 * Two nodes, money on both sides of one channel: `{ seller, buyer, stop() }`. `tools` holds btcd and lnd.
 */
export async function startLightning(tools, folder) {
  const folders = Object.fromEntries(["chain", "seller", "buyer"].map((name) => [name, join(folder, name)]));
  await Promise.all(Object.values(folders).map((path) => mkdir(path, { recursive: true })));
  const chainPorts = { rpc: await quietPort(), p2p: await quietPort() };
  // An lnd closes its REST port once, on its way up.
  const portsOf = async () => ({ rpc: await quietPort(), rest: await quietPort(), p2p: await quietPort() });
  const [sellerPorts, buyerPorts] = [await portsOf(), await portsOf()];

  // btcd pays its miner at an address that it is started with, and only a node on that chain has one.
  let chain = await startChain(tools, folders.chain, chainPorts);
  let buyer = await startLnd(tools, folders.buyer, chain, buyerPorts);
  const { address } = await buyer.api("/v1/newaddress?type=WITNESS_PUBKEY_HASH");
  await stop(buyer.child);
  await stop(chain.child);
  chain = await startChain(tools, folders.chain, chainPorts, address);
  await chain.mine(MATURITY_BLOCKS);
  buyer = await startLnd(tools, folders.buyer, chain, buyerPorts);
  const seller = await startLnd(tools, folders.seller, chain, sellerPorts);
  await Promise.all([synced(buyer), synced(seller)]);
  await until("the miner's money", async () => Number((await buyer.api("/v1/balance/blockchain")).confirmed_balance) > CHANNEL_SATS);

  const addr = { pubkey: await pubkey(seller), host: `127.0.0.1:${seller.ports.p2p}` };
  await until("the nodes meet", () => buyer.api("/v1/peers", { method: "POST", body: { addr } }).catch((error) => /already connected/.test(error.message)));
  const open = {
    node_pubkey_string: addr.pubkey, local_funding_amount: String(CHANNEL_SATS), push_sat: String(PUSH_SATS), sat_per_vbyte: "2",
  };
  await until("the channel is opened", () => buyer.api("/v1/channels", { method: "POST", body: open }));
  await chain.mine(CHANNEL_BLOCKS);
  for (const node of [buyer, seller]) {
    await until("the channel is active", async () => (await node.api("/v1/channels?active_only=true")).channels.length === 1);
  }
  // An active channel may not forward yet: the first payment tells.
  await until("the channel carries a payment", async () => {
    const invoice = await seller.api("/v1/invoices", { method: "POST", body: { value: "1" } });
    return pay(buyer, invoice.payment_request);
  });
  return { seller, buyer, chain, stop: () => Promise.all([buyer, seller, chain].map(({ child }) => stop(child))) };
}

/** What a node has of its channel, in millisatoshi. */
export async function localMsat(node) {
  const balance = await node.api("/v1/balance/channels");
  return BigInt(balance.local_balance.msat);
}

/** Pays an invoice through a node: the preimage in hex, or an error with lnd's reason. */
export async function pay(node, invoice, feeLimitSat = 10) {
  const body = { payment_request: invoice, timeout_seconds: 30, fee_limit_sat: String(feeLimitSat), no_inflight_updates: true };
  const { result, error } = await node.api("/v2/router/send", { method: "POST", body });
  if (error) throw new Error(error.message);
  if (result.status !== "SUCCEEDED") throw new Error(`lnd: ${result.status} ${result.failure_reason}`);
  return result.payment_preimage;
}
