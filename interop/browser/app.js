// A page that buys from a gate of another origin. Bundled by `browser.mjs`, run in a real browser.
// It shows what it has read, and keeps it in `window.bought` for whoever looks on.

import { ExactEvmScheme } from "@x402/evm/exact/client";
import { decodePaymentResponseHeader, wrapFetchWithPaymentFromConfig } from "@x402/fetch";
import { privateKeyToAccount } from "viem/accounts";

const asked = new URLSearchParams(location.search);
const show = (id, value) => {
  document.getElementById(id).textContent = typeof value === "string" ? value : JSON.stringify(value, null, 2);
};

/** What the gate asks, as a page of another origin may read it. */
async function readChallenge(url) {
  const response = await fetch(url);
  const header = response.headers.get("payment-required");
  const challenge = header && JSON.parse(atob(header));
  return { status: response.status, amount: challenge?.accepts[0].amount, inBody: (await response.json()).accepts.length };
}

/** The same, paid. A content type of its own makes the browser ask in advance for that as well. */
async function buy(url) {
  const schemes = [{ network: asked.get("network"), client: new ExactEvmScheme(privateKeyToAccount(asked.get("key"))) }];
  const pay = wrapFetchWithPaymentFromConfig(fetch.bind(window), { schemes });
  const response = await pay(url, { method: "POST", body: "{}", headers: { "content-type": "application/json" } });
  const receipt = response.headers.get("payment-response");
  return { status: response.status, body: await response.json(), receipt: receipt && decodePaymentResponseHeader(receipt) };
}

async function main() {
  const url = `${asked.get("gate")}/weather?city=Oslo`;
  show("origins", `page ${location.origin}, gate ${asked.get("gate")}`);
  try {
    const challenge = await readChallenge(url);
    show("challenge", challenge);
    const paid = await buy(url);
    show("paid", paid);
    return { challenge, paid };
  } catch (error) {
    show("error", String(error));
    return { error: String(error) };
  }
}

window.bought = main();
