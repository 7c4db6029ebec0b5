// Counts the checks and prints one line for each. The last line of a run is the summary.

import assert from "node:assert/strict";

let passed = 0;
let failed = 0;
let skipped = 0;

/** Runs one check; a check fails by throwing. */
export async function check(name, body) {
  try {
    await body();
    passed += 1;
    console.log(`ok ${name}`);
  } catch (error) {
    failed += 1;
    const why = error instanceof assert.AssertionError || error instanceof Error ? error.message : String(error);
    console.log(`FAIL ${name} ${why.replace(/\s+/g, " ")}`);
  }
}

/** Says that a check was not run, and why. */
export function skip(name, why) {
  skipped += 1;
  console.log(`skipped: ${why} (${name})`);
}

/** Prints the summary and returns the exit code. */
export function finish() {
  console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`);
  return failed === 0 && passed > 0 ? 0 : 1;
}
