// A Node program with OpenTelemetry: it adds jobs, works on queues, and tells its spans and metrics.
import { createInterface } from "node:readline";
import { context, metrics, propagation, trace } from "@opentelemetry/api";
import { AsyncLocalStorageContextManager } from "@opentelemetry/context-async-hooks";
import { W3CTraceContextPropagator } from "@opentelemetry/core";
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from "@opentelemetry/sdk-metrics";
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  SimpleSpanProcessor,
} from "@opentelemetry/sdk-trace-base";
import { FlowProducer, Queue, QueueEvents, UnrecoverableError, Worker } from "bullmq";
import { BullMQOtel } from "bullmq-otel";

const [url, prefix] = process.argv.slice(2);
const connection = { url };

const spans = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] });
trace.setGlobalTracerProvider(provider);
context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
propagation.setGlobalPropagator(new W3CTraceContextPropagator());
const measured = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE);
const reader = new PeriodicExportingMetricReader({
  exporter: measured,
  exportIntervalMillis: 3_600_000, // what is measured is asked for
});
metrics.setGlobalMeterProvider(new MeterProvider({ readers: [reader] }));

const telemetry = new BullMQOtel({ enableMetrics: true });
const options = { connection, prefix, telemetry };
const queues = new Map();
const workers = [];

function queue(name) {
  if (!queues.has(name)) {
    // Listening is no part of what is traced.
    const events = new QueueEvents(name, { connection, prefix });
    queues.set(name, { queue: new Queue(name, options), events });
  }
  return queues.get(name);
}

const commands = {
  // Add jobs within a span of the program's own, and wait until they have ended.
  async add({ name, jobs }) {
    const { queue: target, events } = queue(name);
    await events.waitUntilReady();
    const added = await trace.getTracer("program").startActiveSpan("request", async (span) => {
      const found = [];
      for (const job of jobs) found.push(await target.add(job.name, job.data ?? {}, job.opts));
      span.end();
      return found;
    });
    const ends = added.map((job) => job.waitUntilFinished(events, 10_000));
    return (await Promise.allSettled(ends)).map(({ value, reason }) => value ?? `${reason}`);
  },
  async addBulk({ name, jobs }) {
    return (await queue(name).queue.addBulk(jobs)).map((job) => job.id);
  },
  async count({ name }) {
    await queue(name).queue.recordJobCountsMetric();
  },
  async flow({ tree }) {
    const producer = new FlowProducer(options);
    await producer.add(tree);
    await producer.close();
  },
  async work({ name }) {
    const worker = new Worker(
      name,
      async (job) => {
        if (job.name === "give-up") throw new UnrecoverableError("given up");
        if (job.name === "retry" && job.attemptsMade === 0) throw new Error("not yet");
        return job.data;
      },
      options,
    );
    workers.push(worker);
    await worker.waitUntilReady();
  },
  async told() {
    // A job's last span ends after its outcome has been told: when nothing is under way.
    await Promise.all(workers.map((worker) => worker.close()));
    await reader.forceFlush();
    const [latest] = measured.getMetrics().slice(-1);
    return { spans: spans.getFinishedSpans().map(shownSpan), metrics: shownMetrics(latest) };
  },
};

function shownSpan(span) {
  return {
    name: span.name,
    kind: span.kind,
    trace: span.spanContext().traceId,
    id: span.spanContext().spanId,
    parent: span.parentSpanContext?.spanId ?? null,
    attributes: span.attributes,
    events: span.events.map(({ name, attributes }) => ({ name, attributes })),
    scope: span.instrumentationScope.name,
  };
}

function shownMetrics(latest) {
  const all = latest?.scopeMetrics.flatMap((scope) => scope.metrics) ?? [];
  return all.map(({ descriptor, dataPoints }) => ({
    name: descriptor.name,
    unit: descriptor.unit,
    description: descriptor.description,
    points: dataPoints.map(({ attributes, value }) => ({ attributes, count: value.count ?? value })),
  }));
}

for await (const line of createInterface({ input: process.stdin })) {
  const { command, ...rest } = JSON.parse(line);
  try {
    process.stdout.write(`${JSON.stringify({ value: await commands[command](rest) ?? null })}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: `${error?.stack ?? error}` })}\n`);
  }
}
await Promise.all([...workers, ...[...queues.values()].flatMap(Object.values)].map((one) => one.close()));
