// A producer: an order is paid in the web shop, and Python's workers do the rest.
import { openEvents, openQueue } from "./queues.js";

const orderId = Number(process.argv[2] ?? 8);
const deadline = 10_000; // milliseconds to wait for a result

const queue = openQueue("default");
const events = openEvents("default");
await events.waitUntilReady();

const charge = await queue.add("charge-card", {
  order_id: orderId,
  cents: 4990,
  card: "4242424242424242",
});
const payment = await charge.waitUntilFinished(events, deadline);
console.log(`paid ${payment.cents / 100} EUR: ${payment.payment_id}`);

const receipt = await queue.add(
  "send-receipt",
  {
    order_id: orderId,
    email: "ada@mail.example",
    items: [{ title: "Lamp", cents: 4990 }], // a quantity is 1 where none is said
  },
  { priority: 1 },
);
const sent = await receipt.waitUntilFinished(events, deadline);
console.log(`receipt sent: ${sent.message_id}`);

await Promise.all([events.close(), queue.close()]);
