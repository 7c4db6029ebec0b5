// The official TypeScript SDK on every side: clients that buy, sellers, and the facilitator, in this process or behind HTTP.

import axios from "axios";
import express from "express";
import { serve as serveHono } from "@hono/node-server";
import { Hono } from "hono";
import { wrapAxiosWithPaymentFromConfig } from "@x402/axios";
import { x402Client, x402HTTPClient } from "@x402/core/client";
import { x402Facilitator } from "@x402/core/facilitator";
import { HTTPFacilitatorClient } from "@x402/core/server";
import { toFacilitatorEvmSigner } from "@x402/evm";
import { ExactEvmScheme as BuyerScheme } from "@x402/evm/exact/client";
import { registerExactEvmScheme } from "@x402/evm/exact/facilitator";
import { ExactEvmScheme as SellerScheme } from "@x402/evm/exact/server";
import { paymentMiddleware as expressPayments, x402ResourceServer } from "@x402/express";
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { paymentMiddleware as honoPayments } from "@x402/hono";
import { publicActions } from "viem";
import { account, NETWORK, walletClient } from "./chains.mjs";

/** `buyer` is the number of an account, anything that has an address and signs for it, or a configuration of the clients. */
function configFor(buyer) {
  if (buyer.schemes) return buyer;
  const signer = typeof buyer === "number" ? account(buyer) : buyer;
  return { schemes: [{ network: NETWORK, client: new BuyerScheme(signer) }] };
}

/**
 * `@x402/fetch` as it comes out of the box, paying from `buyer`.
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

/** The PAYMENT-SIGNATURE of account `buyer` for what `url` asks, made by the official client and not sent yet. */
export async function credentialFor(url, buyer) {
  const client = new x402HTTPClient(x402Client.fromConfig(configFor(buyer)));
  const response = await fetch(url);
  const required = client.getPaymentRequiredResponse((name) => response.headers.get(name), await response.json());
  return client.encodePaymentSignatureHeader(await client.createPaymentPayload(required));
}

/** The official facilitator as an object in this process, paying gas from account `gas`; it calls these factories only. */
export function facilitatorHere(rpc, gas, factories = []) {
  const wallet = walletClient(rpc, gas).extend(publicActions);
  const signer = toFacilitatorEvmSigner({ ...wallet, address: wallet.account.address });
  return registerExactEvmScheme(new x402Facilitator(), { signer, networks: NETWORK, eip6492AllowedFactories: factories });
}

/** Any facilitator behind a URL, by the official HTTP client. */
export function facilitatorAt(url) {
  return new HTTPFacilitatorClient({ url });
}

/** The official facilitator as an HTTP server. Resolves with `{ url, close, seen }`. */
export function startFacilitator(rpc, gas) {
  return serveFacilitator(facilitatorHere(rpc, gas));
}

/** Serves a facilitator of this process over HTTP, as the official examples do it. */
export async function serveFacilitator(facilitator) {
  const seen = { verify: 0, settle: 0 };
  const answer = (what) => async (request, response) => {
    const { paymentPayload, paymentRequirements } = request.body ?? {};
    if (!paymentPayload || !paymentRequirements) return response.status(400).json({ error: "Missing paymentPayload or paymentRequirements" });
    seen[what] += 1;
    response.json(await facilitator[what](paymentPayload, paymentRequirements));
  };
  const app = express();
  app.use(express.json());
  app.get("/supported", (_, response) => response.json(facilitator.getSupported()));
  app.post("/verify", answer("verify"));
  app.post("/settle", answer("settle"));
  return { ...(await listen(app)), seen };
}

/** How the official sellers are paid, unless told otherwise. */
export const ON_EVM = { network: NETWORK, payTo: account(9).address, scheme: new SellerScheme() };

/** What the official sellers sell: `GET /report` costs `price`; `GET /broken` costs as much and answers 500. */
function catalogue(facilitator, price, ways) {
  const accepts = ways.map(({ network, payTo }) => ({ scheme: "exact", price, network, payTo, maxTimeoutSeconds: 60 }));
  const route = { accepts, description: "A report" };
  const resources = new x402ResourceServer(facilitator);
  for (const { network, scheme } of ways) resources.register(network, scheme);
  return [{ "GET /report": route, "GET /broken": route }, resources];
}

/** An `@x402/express` seller on a free port of loopback, paid in each of these ways. Resolves with `{ url, close }`. */
export async function startExpress(facilitator, price, ways = [ON_EVM]) {
  const app = express();
  app.use(expressPayments(...catalogue(facilitator, price, ways)));
  app.get("/report", (_, response) => response.json({ report: "sunny" }));
  app.get("/broken", (_, response) => response.status(500).json({ error: "out of paper" }));
  return listen(app);
}

/** The same with `@x402/hono`. */
export function startHono(facilitator, price, ways = [ON_EVM]) {
  const app = new Hono();
  app.use(honoPayments(...catalogue(facilitator, price, ways)));
  app.get("/report", (context) => context.json({ report: "sunny" }));
  app.get("/broken", (context) => context.json({ error: "out of paper" }, 500));
  return new Promise((resolve) => {
    const server = serveHono({ fetch: app.fetch, hostname: "127.0.0.1", port: 0 }, ({ port }) => {
      resolve({ url: `http://127.0.0.1:${port}`, close: () => closed(server) });
    });
  });
}

/** A plain API to put behind our gate: answers `{ path, method, body }` and counts what reached it. */
export async function startUpstream() {
  const app = express();
  const seen = { requests: 0, paymentHeaders: 0 };
  app.use(express.text({ type: "*/*" }));
  app.use((request, response) => {
    seen.requests += 1;
    const paid = ["payment-signature", "x-payment", "macaroon"].some((name) => request.headers[name]);
    if (paid || /^(l402|lsat) /i.test(request.headers.authorization)) seen.paymentHeaders += 1;
    response.json({ path: request.originalUrl, method: request.method, body: request.body ?? null });
  });
  return { ...(await listen(app)), seen };
}

function listen(app) {
  return new Promise((resolve, reject) => {
    const server = app.listen(0, "127.0.0.1", (error) => {
      if (error) return reject(error);
      resolve({ url: `http://127.0.0.1:${server.address().port}`, close: () => closed(server) });
    });
  });
}

function closed(server) {
  return new Promise((done) => {
    server.close(done);
    server.closeAllConnections();
  });
}
