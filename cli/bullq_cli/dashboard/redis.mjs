// Connect the board to its Redis: no request waits for a server that is away.
import { once } from "node:events";
import { readFileSync } from "node:fs";

const CONNECT_TIMEOUT = 2000; // ms
const COMMAND_TIMEOUT = 5000; // ms
const LONGEST_PAUSE = 2000; // ms between two attempts to connect again

/**
 * Connect with ioredis by *options*, whose `tls` names files where ioredis wants their text.
 *
 * Rejects if that fails. Afterwards *tell* is called with "lost" and a reason when the connection
 * is lost, and with "back" when it is there again.
 */
export async function connect({ Redis }, { tls, ...options }, tell) {
  const client = new Redis({
    ...options,
    ...(tls ? { tls: read(tls) } : {}),
    connectTimeout: CONNECT_TIMEOUT,
    commandTimeout: COMMAND_TIMEOUT,
    // A page that says what is wrong is worth more than one that waits.
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (attempt) => Math.min(attempt * 100, LONGEST_PAUSE),
  });
  await once(client, "ready"); // rejects by "error"
  let lost = false;
  client.on("error", (error) => {
    if (!lost) {
      lost = true;
      tell("lost", { reason: error.message || error.code });
    }
  });
  client.on("ready", () => {
    if (lost) {
      lost = false;
      tell("back");
    }
  });
  return client;
}

function read({ ca, cert, key, verify, checkHostname }) {
  const text = (file) => (file ? readFileSync(file) : undefined);
  return {
    ca: text(ca),
    cert: text(cert),
    key: text(key),
    rejectUnauthorized: verify,
    ...(checkHostname ? {} : { checkServerIdentity: () => undefined }),
  };
}
