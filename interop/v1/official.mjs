// Version 1 of the protocol as its own packages speak it: a client, a seller and a facilitator. It lives beside its
// own `node_modules`, because those packages ask for older viem, zod and express than the others. Used by
// `sdk/version1.mjs`; keys come as text, so that no object of one viem meets the other.

import express from "express";
import { createWalletClient, http, publicActions } from "viem";
import { privateKeyToAccount } from "viem/accounts";
import { baseSepolia } from "viem/chains";
import { settle, verify } from "x402/facilitator";
import { paymentMiddleware } from "x402-express";
import { createSigner, decodeXPaymentResponse, wrapFetchWithPayment } from "x402-fetch";

/** What version 1 calls the chains. */
export const NETWORK_V1 = "base-sepolia";
export const SOLANA_V1 = "solana-devnet";
const LIMIT = 100_000n; // atomic units of USDC: the default of `x402-fetch`

function wallet(rpc, key) {
  return createWalletClient({ account: privateKeyToAccount(key), chain: baseSepolia, transport: http(rpc) }).extend(publicActions);
}

/** `x402-fetch` 1.x, paying with this key: `{ status, body, receipt, credential }`. */
export function buyWithVersion1(url, key) {
  return buy(url, privateKeyToAccount(key));
}

/** The same with a key of Solana's devnet, in base58, and a node there. */
export async function buyWithVersion1OnSolana(url, key, rpc) {
  return buy(url, await createSigner(SOLANA_V1, key), { svmConfig: { rpcUrl: rpc } });
}

async function buy(url, signer, config) {
  let credential = null;
  const watched = (input, options) => {
    credential = new Headers(options?.headers).get("x-payment") ?? credential;
    return fetch(input, options);
  };
  const response = await wrapFetchWithPayment(watched, signer, LIMIT, undefined, config)(url);
  const receipt = response.headers.get("x-payment-response");
  return {
    status: response.status,
    body: await response.json(),
    receipt: receipt && decodeXPaymentResponse(receipt),
    credential,
  };
}

/** An `x402-express` 1.x seller behind the facilitator at `facilitator`: `GET /report` costs `price`. */
export function startVersion1Seller(facilitator, payTo, price, network = NETWORK_V1) {
  const route = { price, network, config: { description: "A report" } };
  const app = express();
  app.use(paymentMiddleware(payTo, { "GET /report": route }, { url: facilitator }));
  app.get("/report", (_, response) => response.json({ report: "sunny" }));
  return listen(app);
}

/** The facilitator of `x402` 1.x as an HTTP server that pays gas with this key. */
export function startVersion1Facilitator(rpc, key) {
  return serve(wallet(rpc, key), { network: NETWORK_V1 });
}

/** The same for Solana's devnet: it pays fees with this key, in base58. */
export async function startVersion1FacilitatorOnSolana(rpc, key) {
  const signer = await createSigner(SOLANA_V1, key);
  return serve(signer, { network: SOLANA_V1, extra: { feePayer: signer.address } }, { svmConfig: { rpcUrl: rpc } });
}

function serve(signer, kind, config) {
  const answer = (act) => async (request, response) => {
    const { paymentPayload, paymentRequirements } = request.body;
    response.json(await act(signer, paymentPayload, paymentRequirements, config));
  };
  const app = express();
  app.use(express.json());
  app.get("/supported", (_, response) => response.json({ kinds: [{ x402Version: 1, scheme: "exact", ...kind }] }));
  app.post("/verify", answer(verify));
  app.post("/settle", answer(settle));
  return listen(app);
}

function listen(app) {
  return new Promise((resolve, reject) => {
    const server = app.listen(0, "127.0.0.1", () => {
      const close = () => new Promise((done) => {
        server.close(done);
        server.closeAllConnections();
      });
      resolve({ url: `http://127.0.0.1:${server.address().port}`, close });
    });
    server.once("error", reject);
  });
}
