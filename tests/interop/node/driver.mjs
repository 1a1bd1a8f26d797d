// Plays the Node side of the interop tests: `node driver.mjs <bullmq package> <Redis port>`.
//
// One request per line on stdin, {id, prefix, operation, arguments}; one answer per line on
// stdout, {id, value} or {id, error}. A prefix is one test: `forget` closes all that it opened.
// The process ends when its stdin does.
import { createInterface } from "node:readline";
import { Side } from "./side.mjs";

const [packageName, port] = process.argv.slice(2);
const bullmq = await import(packageName);
const connection = { host: "127.0.0.1", port: Number(port) };
const sides = new Map();

function sideOf(prefix) {
  if (!sides.has(prefix)) sides.set(prefix, new Side(bullmq, connection, prefix));
  return sides.get(prefix);
}

async function answer({ id, prefix, operation, arguments: given }) {
  try {
    const value = (await sideOf(prefix)[operation](given)) ?? null;
    if (operation === "forget") sides.delete(prefix);
    return { id, value };
  } catch (error) {
    return { id, error: `${error?.name}: ${error?.message}` };
  }
}

process.stdout.write(`${JSON.stringify({ ready: true })}\n`);
for await (const line of createInterface({ input: process.stdin })) {
  answer(JSON.parse(line)).then((reply) => process.stdout.write(`${JSON.stringify(reply)}\n`));
}
process.exit(0);
