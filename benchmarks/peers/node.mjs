// Node BullMQ: `node node.mjs PART '{"url": ..., "jobs": ...}' PACKAGE` prints one line of JSON.
// The parts are those of stage.py, and measure as meter.py does.
import { createRequire } from "node:module";

const [part, order, packageName] = process.argv.slice(2);
const { url, jobs, warm = 0, concurrency, pause = 0, callers, gap } = JSON.parse(order);
const require = createRequire(new URL("../../tests/interop/package.json", import.meta.url));
const SETTLING = 0.1; // as in meter.py
const CHUNK = 500; // as in stage.py
const REMOVED = { removeOnComplete: true };

const now = () => process.hrtime.bigint();
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

function tell(answer) {
  process.stdout.write(`RESULT ${JSON.stringify(answer)}\n`);
}

function connection() {
  const { hostname, port } = new URL(url);
  return { host: hostname, port: Number(port) };
}

function openQueue() {
  const { Queue } = require(packageName);
  return new Queue("bench", { connection: connection() });
}

function meter() {
  const first = Math.max(1, warm + Math.floor((jobs - warm) * SETTLING));
  const last = Math.max(first + 1, jobs - Math.floor((jobs - warm) * SETTLING));
  const lateMs = [];
  let count = 0;
  let began = 0n;
  let rate = 0;
  return (data) => {
    const at = now();
    count += 1;
    if (data.sent !== undefined) lateMs.push(Number(at - BigInt(data.sent)) / 1e6);
    if (count === first) began = at;
    else if (count === last) rate = (last - first) / (Number(at - began) / 1e9);
    if (count === 1 && data.ready) tell({ ready: true });
    if (count === jobs) {
      const memory = process.memoryUsage.rss() / 1e6;
      const answer = `RESULT ${JSON.stringify({ rate, late_ms: lateMs, memory_mb: memory })}\n`;
      process.stdout.write(answer, () => process.exit(0));
    }
  };
}

function work() {
  const { Worker } = require(packageName);
  const hit = meter();
  const process_ = async (job) => {
    if (pause) await sleep(pause * 1000);
    hit(job.data);
  };
  new Worker("bench", process_, { connection: connection(), concurrency });
}

async function addEach(queue, all, among) {
  const began = now();
  const caller = async (from) => {
    for (let n = from; n < all.length; n += among) await queue.add("job", all[n], REMOVED);
  };
  await Promise.all(Array.from({ length: among }, (_, from) => caller(from)));
  return began;
}

async function addAll(queue, all) {
  const began = now();
  for (let start = 0; start < all.length; start += CHUNK) {
    const chunk = all.slice(start, start + CHUNK);
    await queue.addBulk(chunk.map((data) => ({ name: "job", data, opts: REMOVED })));
  }
  return began;
}

async function drip(queue) {
  for (let n = 0; n < jobs; n += 1) {
    await sleep(gap * 1000);
    await queue.add("job", { sent: Number(now()) }, REMOVED);
  }
  return now() - 1_000_000_000n;
}

function tellRate(began) {
  tell({ rate: (jobs - warm) / (Number(now() - began) / 1e9) });
}

const plain = Array.from({ length: jobs }, (_, n) => ({ n }));
if (part === "versions") {
  const { version } = require(`${packageName}/package.json`);
  tell({ versions: { bullmq: version, node: process.version.slice(1) } });
} else if (part === "work") {
  work();
} else {
  const queue = openQueue();
  await queue.waitUntilReady();
  if (part === "fill") tellRate(await addAll(queue, plain.map((data) => ({ ...data, ready: true }))));
  if (part === "each") {
    await addEach(queue, plain.slice(0, warm), callers);
    tellRate(await addEach(queue, plain.slice(warm), callers));
  }
  if (part === "bulk") {
    await addAll(queue, plain.slice(0, warm));
    tellRate(await addAll(queue, plain.slice(warm)));
  }
  if (part === "drip") tellRate(await drip(queue));
  process.exit(0);
}
