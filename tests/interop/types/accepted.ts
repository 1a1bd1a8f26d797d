// What a program in TypeScript writes with the types of all_kinds: never run, but compiled.
import { Queue, Worker } from "bullmq";
import type {
  Containers,
  Everything,
  Fields,
  Handlers,
  JobData,
  JobName,
  JobResult,
  Json,
  QueueName,
  Scalars,
  TypedJob,
  TypedQueueConstructor,
  Unions,
} from "./jobs.js";

/** Compiles where both types are the same one. */
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
function same<A, B>(_: Same<A, B>): void {}

const scalars: Scalars = {
  flag: true,
  count: 1,
  ratio: 0.5,
  text: "",
  nothing: null,
  anything: { of: ["any", "kind"] },
  at: new Date().toISOString(),
  on: "2026-11-24",
  lasting: "PT1M",
  raw: "bytes",
  price: 9.9,
  id: "6c1a1c2e-0000-4000-8000-000000000000",
  link: "https://mail.example/",
  file: "/a/b",
};
const text: Scalars = { ...scalars, price: "9.90" };

const containers: Containers = {
  point: [1, "a"],
  pair: [1],
  many: [],
  led: ["a", 2],
  unique: ["a"],
  few: [1, 2],
  mixed: [1, "a"],
  by_name: { home: { street: "A", "zip-code": "12345" } },
  by_colour: { red: 1 },
  by_number: { 7: "seven" },
};

const json: Json = { list: [1, "two", null, { deep: [] }] };
const unions: Unions = {
  colour: "green",
  size: 2,
  mode: "fast",
  nullable: null,
  union: ["a"],
  pet: { kind: "cat", lives: 9 },
  pets: [{ kind: "dog" }, { kind: "dog", tricks: ["sit"] }],
  tree: { value: 1, children: [{ value: 2, children: [{ value: 3 }] }] },
  json_value: json,
  box: { inside: 1 },
  other_box: { inside: { street: "A", "zip-code": "12345" } },
};
const literals: Unions["mode"][] = ["fast", 3, true, null];

const fields: Fields = {
  "not-an-identifier": 1,
  'with "quotes"': 2,
  größe: 3,
  class: 4,
};
const more: Fields = { ...fields, optional: null, defaulted: "a", bounded: 4, day: "2026-11-24" };

const everything: Everything = {
  scalars,
  containers,
  unions,
  fields,
  point: { x: 1 },
  row: { key: "k" },
  open: { name: "n", whatever: [1] },
  closed: { name: "n" },
};

same<QueueName, "kinds" | "mail">(true);
same<JobName<"mail">, "announce" | "order">(true);
same<JobData<"kinds", "shapes">, { [key: string]: number }>(true);
same<JobResult<"kinds", "names">, null>(true);
same<JobResult<"kinds", "choice">, "yes" | "no">(true);
same<JobResult<"kinds", "anything">, unknown>(true);
// What Python writes is there, what Node writes may be left out, whoever runs the job.
same<JobData<"mail", "order">["number"], number>(true);
same<JobResult<"mail", "order">["weight"], number | undefined>(true);
same<JobData<"kinds", "take:both 2">["count"], number | undefined>(true);
same<JobResult<"kinds", "take:both 2">["count"], number>(true);
same<JobResult<"kinds", "everything">["price"], string>(true);
same<JobResult<"kinds", "everything">["doubled"], number>(true);
same<JobResult<"kinds", "everything">["nullable"], string | null>(true);
same<Extract<keyof JobResult<"kinds", "everything">, "secret">, never>(true);

const connection = { url: "redis://127.0.0.1" };
const Typed = Queue as unknown as TypedQueueConstructor;

async function produce(): Promise<string | number> {
  const kinds = new Typed("kinds", { connection });
  const job = await kinds.add("everything", everything, { delay: 5 });
  same<typeof job.name, "everything">(true);
  const { pet, price } = job.returnvalue;
  await kinds.add("take:both 2", {});
  await kinds.add("choice", { names: [] });
  await kinds.addBulk([
    { name: "shapes", data: { a: 1 } },
    { name: "take:both 2", data: { count: 1 }, opts: { lifo: true } },
  ]);
  await kinds.close();
  return pet.kind === "cat" ? pet.lives : price + pet.tricks.join();
}

// BullMQ's own generics take the types, too.
const plain = new Queue<JobData<"mail">, JobResult<"mail">, JobName<"mail">>("mail", { connection });
void plain.add("order", { number: 1 });

function told(job: TypedJob<"mail">): number {
  return job.name === "order" ? job.data.number : job.data.weight;
}

const handlers: Handlers<"mail"> = {
  order: async (job) => ({ weight: job.data.number }),
  announce: async () => null,
};
const worker = new Worker<JobData<"mail">, JobResult<"mail">, JobName<"mail">>(
  "mail",
  (job) => handlers[job.name](job as never),
  { connection },
);

export { literals, more, produce, text, told, worker };
