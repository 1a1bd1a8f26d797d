// BullMQ's queues and workers with the types of the shop's jobs.
import { Queue, QueueEvents, UnrecoverableError, Worker } from "bullmq";
import type { Handlers, JobData, JobName, JobResult, QueueName, TypedQueueConstructor } from "./jobs.js";

const options = {
  connection: { url: process.env["REDIS_URL"] ?? "redis://127.0.0.1:6379" },
  prefix: process.env["BULLQ_PREFIX"] ?? "bull",
};

const Typed = Queue as unknown as TypedQueueConstructor;

/** Open a queue to add jobs to; a job's name decides what its data has to be. */
export function openQueue<Q extends QueueName>(name: Q) {
  return new Typed(name, options);
}

/** Listen to what becomes of a queue's jobs. */
export function openEvents(name: QueueName): QueueEvents {
  return new QueueEvents(name, options);
}

/** Work on a queue that is Node's: each of its jobs has a function. */
export function work<Q extends QueueName>(name: Q, handlers: Handlers<Q>) {
  return new Worker<JobData<Q>, JobResult<Q>, JobName<Q>>(
    name,
    (job, token) => {
      // A producer that is newer than this worker may send what it does not know.
      if (!Object.hasOwn(handlers, job.name)) {
        throw new UnrecoverableError(`no job is called ${job.name} on the queue ${name}`);
      }
      return handlers[job.name](job, token);
    },
    options,
  );
}
