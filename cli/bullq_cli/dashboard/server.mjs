// Serve bull-board for the queues that `bullq dashboard` names, for as long as it lives.
//
// Called as `node server.mjs`, in the folder that bull-board is installed in. Standard input: one
// line of JSON (board.py says what is in it); when it closes, the board ends. Standard output:
// one line of JSON for each thing to tell, `{"event": "listening" | "deaf" | "unconnected" | "lost"
// | "back"}`; "deaf" is a board that cannot listen, "unconnected" one that finds no Redis.
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import path from "node:path";

import { guard } from "./access.mjs";
import { connect } from "./redis.mjs";

// Not `import`, which would look beside this file: what npm installed is in the current folder.
const require = createRequire(path.join(process.cwd(), "package.json"));
const { createBullBoard } = require("@bull-board/api");
const { BullMQAdapter } = require("@bull-board/api/bullMQAdapter");
const { HonoAdapter } = require("@bull-board/hono");
const { serve } = require("@hono/node-server");
const { serveStatic } = require("@hono/node-server/serve-static");
const { Hono } = require("hono");
const { Queue } = require("bullmq");

const CLOSE_DEADLINE = 2000; // ms for requests under way and for connections

function tell(event, details = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...details })}\n`);
}

/** End, and say why. */
function fail(event, error) {
  tell(event, { code: error.code ?? null, message: error.message || error.code });
  process.exit(1);
}

/** bull-board's way to a queue, with a duplicate that is one: it would keep the original's id. */
class QueueAdapter extends BullMQAdapter {
  async addJob(name, data, { jobId, ...options } = {}) {
    const isTaken = jobId !== undefined && (await this.queue.getJob(jobId)) !== undefined;
    const kept = jobId === undefined || isTaken ? {} : { jobId };
    return super.addJob(name, data, { ...options, ...kept });
  }
}

function makeQueue(client, config, { name, defaultJobOptions }) {
  return new Queue(name, {
    connection: client,
    prefix: config.prefix,
    defaultJobOptions,
    skipMetasUpdate: true, // whoever only looks must not write who made the queue
  });
}

/** Connect the queues; one that loses its first connection would never try again. */
async function connectQueues(client, config) {
  const queues = config.queues.map((queue) => makeQueue(client, config, queue));
  for (const queue of queues) {
    queue.on("error", () => {}); // the shared client tells what is wrong, once
  }
  await Promise.all(queues.map((queue) => queue.waitUntilReady()));
  return queues;
}

function makeBoard(queues, config) {
  const adapter = new HonoAdapter(serveStatic);
  createBullBoard({
    queues: queues.map(
      (queue, place) =>
        new QueueAdapter(queue, {
          readOnlyMode: config.readOnly,
          description: `prefix ${config.prefix}`,
          jobDataSchema: config.queues[place].jobDataSchema ?? undefined,
        }),
    ),
    serverAdapter: adapter,
    options: { uiConfig: { boardTitle: config.title, hideDocsLink: true, showMetrics: true } },
  });
  return adapter.registerPlugin();
}

// The page asks Google for a font, and thereby tells that it exists. access.mjs forbids it, too.
async function withoutForeignFonts(context, next) {
  await next();
  if (context.res.headers.get("Content-Type")?.startsWith("text/html")) {
    const page = (await context.res.text()).replace(/<link [^>]*fonts\.googleapis\.com[^>]*>/, "");
    context.res = new Response(page, context.res);
  }
}

function makeApp(client, board, config) {
  const app = new Hono();
  // Before the guard: whoever watches over the container has no token, and learns nothing else.
  app.get("/health", async (context) => {
    const healthy = await client.ping().then(
      () => true,
      () => false,
    );
    return context.json({ redis: healthy }, healthy ? 200 : 503);
  });
  app.use(guard(config), withoutForeignFonts);
  app.route("/", board);
  return app;
}

function listen(app, config) {
  const server = serve({ fetch: app.fetch, hostname: config.host, port: config.port }, (bound) =>
    tell("listening", { port: bound.port }),
  );
  server.on("error", (error) => fail("deaf", error));
  return server;
}

async function close(server, queues, client) {
  setTimeout(() => process.exit(0), CLOSE_DEADLINE).unref();
  server.close();
  server.closeAllConnections();
  await Promise.allSettled(queues.map((queue) => queue.close()));
  client.disconnect();
  process.exit(0);
}

async function start(config) {
  let client, queues;
  try {
    client = await connect(require("ioredis"), config.redis, tell);
    queues = await connectQueues(client, config);
  } catch (error) {
    fail("unconnected", error);
  }
  const server = listen(makeApp(client, makeBoard(queues, config), config), config);
  return () => close(server, queues, client);
}

let end = () => process.exit(0);
const input = createInterface({ input: process.stdin });
input.once("line", (line) => {
  start(JSON.parse(line)).then((close) => {
    end = close;
  });
});
input.once("close", () => end());
