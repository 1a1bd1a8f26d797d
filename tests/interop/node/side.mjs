// Whatever one test does in Node: queues, flows, workers and listeners under the test's prefix.
import { shown } from "./shown.mjs";
import { player } from "./player.mjs";
import { Listener } from "./listener.mjs";

export class Side {
  #bullmq;
  #options;
  #queues = new Map();
  #listeners = new Map();
  #workers = new Map();
  #flows = null;

  constructor(bullmq, connection, prefix) {
    this.#bullmq = bullmq;
    this.#options = { connection, prefix };
  }

  // Call a method of a Queue.
  async queue({ queue, method, args }) {
    return shown(await this.#queue(queue)[method](...args));
  }

  // Call a method of a job.
  async job({ queue, id, method, args }) {
    const job = await this.#queue(queue).getJob(id);
    if (!job) throw new Error(`no job ${id}`);
    return shown(await job[method](...args));
  }

  // Read a job and its state.
  async read({ queue, id }) {
    const job = await this.#queue(queue).getJob(id);
    return job ? { ...shown(job), state: await job.getState() } : null;
  }

  async flow({ tree }) {
    this.#flows ??= tended(new this.#bullmq.FlowProducer(this.#options));
    const { job } = await this.#flows.add(tree);
    return shown(job);
  }

  // Run a worker that plays what each job's data says, or one that holds whatever it begins.
  async work({ queue, holds, options }) {
    const processor = player(this.#bullmq, holds);
    const worker = tended(
      new this.#bullmq.Worker(queue, processor, { ...this.#options, ...options }),
    );
    this.#workers.set(queue, worker);
    await worker.waitUntilReady();
  }

  async rest({ queue }) {
    await this.#workers.get(queue).close();
    this.#workers.delete(queue);
  }

  // Give all events of a queue once `count` events called `event` (of the job `id`) are among them.
  async eventsUntil({ queue, event, id, count }) {
    return this.#listener(queue).until(event, id, count);
  }

  async waitUntilFinished({ queue, id, ttl }) {
    const job = await this.#queue(queue).getJob(id);
    if (!job) throw new Error(`no job ${id}`);
    return job.waitUntilFinished(this.#listener(queue).source, ttl);
  }

  async forget() {
    const open = [
      ...this.#workers.values(),
      ...[...this.#listeners.values()].map((listener) => listener.source),
      ...this.#queues.values(),
      ...(this.#flows ? [this.#flows] : []),
    ];
    await Promise.all(open.map((one) => one.close()));
  }

  #queue(name) {
    if (!this.#queues.has(name)) {
      this.#queues.set(name, tended(new this.#bullmq.Queue(name, this.#options)));
    }
    return this.#queues.get(name);
  }

  #listener(name) {
    if (!this.#listeners.has(name)) {
      const source = new this.#bullmq.QueueEvents(name, { ...this.#options, lastEventId: "0-0" });
      this.#listeners.set(name, new Listener(tended(source)));
    }
    return this.#listeners.get(name);
  }
}

// An emitter without a listener for errors ends the process.
function tended(emitter) {
  emitter.on("error", (error) => process.stderr.write(`${error?.stack ?? error}\n`));
  return emitter;
}
