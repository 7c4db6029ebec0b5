// Writes `conformance/erc6492.json` with viem, which says of each case what it reads. Run it after `npm ci --prefix interop`:
//
//     node interop/vectors/erc6492.mjs
//
// The same input gives the same file.

import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { concatHex, encodeFunctionData, isErc6492Signature, keccak256, padHex, parseAbi, parseErc6492Signature, serializeErc6492Signature, toHex, zeroAddress } from "viem";

const MAGIC = "0x6492649264926492649264926492649264926492649264926492649264926492";
const FACTORY = "0x1111111111111111111111111111111111111111";
const OWNER = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";
const word = (number) => padHex(toHex(number), { size: 32 });
const bytes = (count, salt) => {
  const words = Array.from({ length: Math.ceil(count / 32) }, (_, place) => keccak256(toHex(`${salt} ${place}`)));
  return concatHex(["0x", ...words]).slice(0, 2 + 2 * count);
};
const padded = (hex) => padHex(hex, { dir: "right", size: Math.ceil((hex.length - 2) / 64) * 32 });

const abi = parseAbi(["function deploy(address owner, bytes32 salt) returns (address)"]);
const deploy = encodeFunctionData({ abi, functionName: "deploy", args: [OWNER, word(7)] });
const ordinary = bytes(65, "signature");
const wrap = (address, data, signature) => serializeErc6492Signature({ address, data, signature });

/** What viem makes of it; a wrapper that names no factory is only taken off. */
function read(name, signature) {
  const parsed = parseErc6492Signature(signature);
  const isWrapper = isErc6492Signature(signature);
  const deploys = isWrapper && parsed.address !== zeroAddress;
  return {
    name,
    signature,
    inner: parsed.signature,
    factory: deploys ? parsed.address.toLowerCase() : null,
    data: deploys ? parsed.data : null,
    canonical: isWrapper && wrap(parsed.address, parsed.data, parsed.signature) === signature,
  };
}

const twice = wrap(FACTORY, deploy, wrap(FACTORY, "0x1234", ordinary));
// The same parts in the other order: as good an encoding of (address, bytes, bytes).
const swapped = concatHex([
  padHex(FACTORY, { size: 32 }), word(224), word(96), word(65), padded(ordinary), word(68), padded(deploy), MAGIC,
]);
const shared = concatHex([padHex(FACTORY, { size: 32 }), word(96), word(96), word(65), padded(ordinary), MAGIC]);
const cases = [
  read("a wallet's factory call and an owner's signature", wrap(FACTORY, deploy, ordinary)),
  read("a passkey's long signature", wrap(FACTORY, deploy, bytes(576, "passkey"))),
  read("a factory called without data", wrap(FACTORY, "0x", ordinary)),
  read("an empty signature inside", wrap(FACTORY, deploy, "0x")),
  read("parts of whole words", wrap(FACTORY, bytes(64, "data"), bytes(64, "signature"))),
  read("a wrapper in a wrapper: only one is taken off", twice),
  read("no factory: only taken off", wrap(zeroAddress, deploy, ordinary)),
  read("the signature before the data", swapped),
  read("signature and data in one place", shared),
  read("an ordinary signature", ordinary),
  read("the trailer at the front", concatHex([MAGIC, ordinary])),
  read("a trailer that is one byte short", MAGIC.slice(0, -2)),
];

const broken = (head, tail) => concatHex([padHex(FACTORY, { size: 32 }), ...head.map(word), ...tail, MAGIC]);
const refused = [
  ["the trailer alone", MAGIC],
  ["a factory and nothing else", concatHex([padHex(FACTORY, { size: 32 }), MAGIC])],
  ["an offset beyond the end", broken([96, 1_000_000], [word(0)])],
  ["an offset of 2^256 - 1", broken([96, 2n ** 256n - 1n], [word(0)])],
  ["a length beyond the end", broken([96, 128], [word(0), word(1_000), word(0)])],
  ["a length of 2^64", broken([96, 128], [word(0), word(2n ** 64n), word(0)])],
  ["a length of 2^256 - 1", broken([2n ** 256n - 1n, 96], [word(0)])],
].map(([name, signature]) => {
  assert.ok(isErc6492Signature(signature), name);
  assert.throws(() => parseErc6492Signature(signature), undefined, name);
  return { name, signature };
});
// viem takes the lower 20 bytes of any word for an address.
const dirty = `0x${"01".repeat(12)}${wrap(FACTORY, deploy, ordinary).slice(2 + 24)}`;
assert.equal(parseErc6492Signature(dirty).address, FACTORY);
refused.push({ name: "a factory of more than 20 bytes, which viem cuts", signature: dirty });

const about =
  "ERC-6492: signatures that carry the deployment of the wallet that will accept them, written and read by viem (interop/vectors/erc6492.mjs). " +
  "`inner` is what the wallet checks; `factory` and `data` are null where nothing is deployed; `canonical` says that writing the parts gives the same bytes.";
await writeFile(new URL("../../conformance/erc6492.json", import.meta.url), `${JSON.stringify({ about, cases, refused }, null, 2)}\n`);
console.log(`${cases.length} cases, ${refused.length} refused`);
