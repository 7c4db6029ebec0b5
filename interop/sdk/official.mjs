// The official TypeScript SDK on both sides: clients that buy, and a seller with its facilitator in this process.

import axios from "axios";
import express from "express";
import { wrapAxiosWithPaymentFromConfig } from "@x402/axios";
import { x402Facilitator } from "@x402/core/facilitator";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { ExactEvmScheme as BuyerScheme } from "@x402/evm/exact/client";
import { registerExactEvmScheme } from "@x402/evm/exact/facilitator";
import { ExactEvmScheme as SellerScheme } from "@x402/evm/exact/server";
import { paymentMiddleware, x402ResourceServer } from "@x402/express";
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { publicActions } from "viem";
import { account, NETWORK, walletClient } from "./chains.mjs";

function configFor(buyer) {
  return { schemes: [{ network: NETWORK, client: new BuyerScheme(account(buyer)) }] };
}

/**
 * `@x402/fetch` as it comes out of the box, paying from account `buyer`.
 * Resolves with `{ status, body, receipt, credential }`: the JSON, the decoded PAYMENT-RESPONSE and the PAYMENT-SIGNATURE that was sent.
 */
export async function buyWithFetch(url, buyer, init = {}) {
  let credential = null;
  const watched = (request) => {
    credential = request.headers.get("payment-signature") ?? credential;
    return fetch(request);
  };
  const response = await wrapFetchWithPaymentFromConfig(watched, configFor(buyer))(url, init);
  const receipt = response.headers.get("payment-response");
  return {
    status: response.status,
    body: await response.json(),
    receipt: receipt && decodePaymentResponseHeader(receipt),
    credential,
  };
}

/** The same with `@x402/axios`. */
export async function buyWithAxios(url, buyer) {
  const response = await wrapAxiosWithPaymentFromConfig(axios.create(), configFor(buyer)).get(url);
  const receipt = response.headers["payment-response"];
  return { status: response.status, body: response.data, receipt: receipt && decodePaymentResponseHeader(receipt) };
}

/**
 * An `@x402/express` seller on a free port of loopback, with the official facilitator paying gas from account `gas`.
 * `GET /report` costs `price`; `GET /broken` costs as much and answers 500. Resolves with `{ url, close }`.
 */
export async function startSeller(rpc, gas, price) {
  const payTo = account(9).address;
  const route = { accepts: { scheme: "exact", price, network: NETWORK, payTo, maxTimeoutSeconds: 60 }, description: "A report" };
  const resources = new x402ResourceServer(facilitator(rpc, gas)).register(NETWORK, new SellerScheme());
  const app = express();
  app.use(paymentMiddleware({ "GET /report": route, "GET /broken": route }, resources));
  app.get("/report", (_, response) => response.json({ report: "sunny" }));
  app.get("/broken", (_, response) => response.status(500).json({ error: "out of paper" }));
  return listen(app);
}

function facilitator(rpc, gas) {
  const wallet = walletClient(rpc, gas).extend(publicActions);
  const signer = toFacilitatorEvmSigner({ ...wallet, address: wallet.account.address });
  return registerExactEvmScheme(new x402Facilitator(), { signer, networks: NETWORK });
}

/** A plain API to put behind our gate: answers `{ path, method, body }` and counts what reached it. */
export async function startUpstream() {
  const app = express();
  const seen = { requests: 0, paymentHeaders: 0 };
  app.use(express.text({ type: "*/*" }));
  app.use((request, response) => {
    seen.requests += 1;
    if (request.headers["payment-signature"] || request.headers["x-payment"]) seen.paymentHeaders += 1;
    response.json({ path: request.originalUrl, method: request.method, body: request.body ?? null });
  });
  return { ...(await listen(app)), seen };
}

function listen(app) {
  return new Promise((resolve, reject) => {
    const server = app.listen(0, "127.0.0.1", (error) => {
      if (error) return reject(error);
      const close = () => new Promise((done) => {
        server.close(done);
        server.closeAllConnections();
      });
      resolve({ url: `http://127.0.0.1:${server.address().port}`, close });
    });
  });
}
