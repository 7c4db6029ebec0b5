// Child processes that are ready once they print a line of JSON, and that are stopped by pid. Used by every check.

import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { createInterface } from "node:readline";

const READY_MS = 120_000; // a cold debug build of the chain answers in seconds; this only ends a hang
const RUN_MS = 120_000;
const STOP_MS = 10_000; // the gate drains before it exits
const QUIET_PORTS = { from: 20_000, count: 10_000 };
const KEPT_STDERR = 4_000; // enough for the last error, not a log

const running = new Set();

function start(program, args) {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  running.add(child);
  child.said = "";
  child.stderr.on("data", (bytes) => {
    child.said = (child.said + bytes).slice(-KEPT_STDERR);
  });
  child.gone = new Promise((resolve) => {
    child.once("exit", (code, signal) => resolve(code ?? signal));
    child.once("error", (error) => resolve(error.message));
  });
  child.gone.then(() => running.delete(child));
  return child;
}

function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing after ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Starts a server and resolves with `{ child, ready }` once `isReady(line)` returns something for a line of its stdout. */
export function serve(program, args, isReady) {
  return waitFor("stdout", program, args, isReady);
}

/** The same for a program that says on stderr when it is ready. */
export function watch(program, args, isReady) {
  return waitFor("stderr", program, args, isReady);
}

async function waitFor(stream, program, args, isReady) {
  const child = start(program, args);
  const ready = new Promise((resolve) => {
    createInterface({ input: child[stream] }).on("line", (line) => {
      const found = isReady(line);
      if (found) resolve(found);
    });
  });
  const failed = child.gone.then((code) => {
    throw new Error(`${program} ${args.join(" ")} ended with ${code}: ${child.said.trim()}`);
  });
  failed.catch(() => {});
  return { child, ready: await within(READY_MS, `${program} ${args[0]}`, Promise.race([ready, failed])) };
}

/** A line that is one JSON object; anything else is nothing. */
export function jsonLine(line) {
  return line.startsWith("{") ? JSON.parse(line) : undefined;
}

/** Runs a command to its end: `{ exit, stdout, stderr }`. */
export async function run(program, args) {
  const child = start(program, args);
  let stdout = "";
  child.stdout.on("data", (bytes) => (stdout += bytes));
  const closed = new Promise((resolve) => child.once("close", resolve));
  const exit = await within(RUN_MS, `${program} ${args[0]}`, child.gone);
  if (child.pid) await closed;
  return { exit, stdout, stderr: child.said };
}

/** Ends one server: asks first, then insists. */
export async function stop(child) {
  if (!running.has(child)) return;
  child.kill("SIGTERM");
  await within(STOP_MS, "stop", child.gone).catch(() => child.kill("SIGKILL"));
  await child.gone;
}

/** Ends whatever is still running. */
export async function stopAll() {
  await Promise.all([...running].map(stop));
}

/** A TCP port that is free now, for programs that cannot pick one themselves. */
export function freePort() {
  return listenable(0);
}

/**
 * A free port that the system gives to nobody by itself, for programs that close theirs and open it again. Linux takes
 * its own from 32768 on.
 */
export async function quietPort() {
  for (;;) {
    const port = QUIET_PORTS.from + Math.floor(Math.random() * QUIET_PORTS.count);
    const free = await listenable(port).catch(() => null);
    if (free) return free;
  }
}

function listenable(wanted) {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(wanted, "127.0.0.1", () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}
