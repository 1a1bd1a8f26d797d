// A Node worker of the drills: `node worker.mjs PACKAGE PORT PREFIX HISTORY`; see history.py.
import { appendFileSync } from "node:fs";
import { createRequire } from "node:module";
import { setTimeout as pause } from "node:timers/promises";

const [packageName, port, prefix, history] = process.argv.slice(2);
const bullmq = createRequire(new URL("../interop/package.json", import.meta.url))(packageName);

function note(what, job) {
  const line = { what, job, engine: "bullmq", by: process.pid, at: Date.now() / 1000 };
  appendFileSync(history, `${JSON.stringify(line)}\n`);
}

const worker = new bullmq.Worker(
  "drill",
  async (job) => {
    note("started", job.id);
    await pause(1000 * (job.data.pause ?? 0));
    note("finished", job.id);
  },
  {
    connection: { host: "127.0.0.1", port: Number(port) },
    prefix,
    concurrency: 20,
    lockDuration: 1000,
    stalledInterval: 1000,
  },
);
worker.on("error", (error) => process.stderr.write(`${error}\n`));
process.on("SIGTERM", async () => {
  await worker.close();
  process.exit(0);
});
