// Compiles ../src into the directory given (default ../artifacts): per contract NAME.json (interface) and
// NAME.creation.hex; NAME.runtime.hex where there is runtime code that does not depend on constructor arguments.
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = path.dirname(fileURLToPath(import.meta.url));
const sourceDir = path.join(here, "..", "src");
const outputDir = path.resolve(process.argv[2] ?? path.join(here, "..", "artifacts"));
fs.mkdirSync(outputDir, { recursive: true });

const sources = Object.fromEntries(
  fs.readdirSync(sourceDir).sort().map((file) => [file, { content: fs.readFileSync(path.join(sourceDir, file), "utf8") }]),
);
const input = {
  language: "Solidity",
  sources,
  settings: {
    evmVersion: "shanghai",
    optimizer: { enabled: true, runs: 10000 },
    metadata: { bytecodeHash: "none", appendCBOR: false },
    outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode"] } },
  },
};
const output = JSON.parse(solc.compile(JSON.stringify(input)));
const problems = output.errors ?? [];
for (const problem of problems) console.error(problem.formattedMessage);
if (problems.length > 0) process.exit(1);

for (const contracts of Object.values(output.contracts)) {
  for (const [name, contract] of Object.entries(contracts)) {
    const write = (suffix, text) => fs.writeFileSync(path.join(outputDir, `${name}.${suffix}`), `${text}\n`);
    const runtime = contract.evm.deployedBytecode;
    write("json", JSON.stringify({ contractName: name, compiler: solc.version(), abi: contract.abi }, null, 1));
    write("creation.hex", contract.evm.bytecode.object);
    // A contract without functions is never deployed, so that its runtime code means nothing.
    const isDeployed = contract.abi.some((entry) => entry.type === "function" || entry.type === "fallback");
    if (isDeployed && Object.keys(runtime.immutableReferences ?? {}).length === 0) write("runtime.hex", runtime.object);
    console.log(`${name}: ${runtime.object.length / 2} bytes of runtime code`);
  }
}
