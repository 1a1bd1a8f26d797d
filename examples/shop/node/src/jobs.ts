// Written by "bullq types". Change the Python types instead, and run it again.
import type * as bullmq from "bullmq";

export interface Cart {
  order_id: number;
  email: string;
  titles: string[];
}

export interface Charge {
  order_id: number;
  cents: number;
  card: string;
}

export interface Day {
  /** @format date */
  day?: string | null;
}

export interface Feed {
  /**
   * @default "acme"
   * @pattern ^[a-z]+$
   */
  supplier?: string;
  /**
   * @default 50
   * @minimum 1
   */
  page_size?: number;
}

export interface Fulfilled {
  payment_id: string;
  invoice: string;
  tracking: string | null;
}

export interface Index {
  supplier?: string | null;
}

export interface Invoice {
  order_id: number;
  customer: string;
  cents: number;
}

export interface Item {
  title: string;
  /**
   * @default 1
   * @minimum 1
   */
  quantity?: number;
  /** @minimum 0 */
  cents: number;
}

export interface Order {
  order_id: number;
  email: string;
  /** @default [] */
  items?: Item[];
}

export interface Page {
  sku: string;
  locale: "en" | "de";
}

export interface Payment {
  payment_id: string;
  cents: number;
}

export interface Purchase {
  order: Order;
  card: string;
  cents: number;
  skus: string[];
  /**
   * @default "P3D"
   * @format duration
   */
  ask_after?: string;
}

export interface Refreshed {
  path: string;
  bytes: number;
  etag: string;
}

export interface Reminded {
  message_id: string | null;
}

export interface Report {
  /** @format date */
  day: string;
  orders: number;
  cents: number;
}

export interface Sent {
  message_id: string;
}

export interface Synced {
  products: number;
  pages: number;
}

export interface Watch {
  fewer_than?: number;
}

/** What each job takes and gives, by its queue and its name. */
export interface Queues {
  "data-sync": {
    /** Build the index anew by which customers find products. */
    "rebuild-search-index": { data: Index; result: number };
    /** Bring a supplier's feed into the catalogue, page by page. */
    "sync-catalogue": { data: Feed; result: Synced };
  };
  "default": {
    /** Charge a customer's card through the payment gateway. */
    "charge-card": { data: Charge; result: Payment };
    /** See an order through, over days: pay, invoice, wait for the parcel, and ask how it was. */
    "fulfil-order": { data: Purchase; result: Fulfilled };
    /** Write the invoice of an order as an HTML file. */
    "render-invoice": { data: Invoice; result: string };
    /** Email a customer the receipt of an order. */
    "send-receipt": { data: Order; result: Sent };
  };
  "scheduled": {
    /** Remind customers of carts they have left. */
    "abandoned-cart-reminder": { data: Cart; result: Reminded };
    /** Report what was sold on a day, every night for the day before. */
    "nightly-report": { data: Day; result: Report };
    /** List the products that will soon be sold out. */
    "watch-stock": { data: Watch; result: number };
  };
  "storefront": {
    /** Show a product's page anew. The storefront runs this one, a service in Node. */
    "refresh-page": { data: Page; result: Refreshed };
  };
}

/** The name of a queue. */
export type QueueName = keyof Queues;

/** The names of a queue's jobs. */
export type JobName<Q extends QueueName> = keyof Queues[Q] & string;

/** What a job takes; without its name, what any job of the queue takes. */
export type JobData<Q extends QueueName, N extends JobName<Q> = JobName<Q>> = {
  [K in N]: Queues[Q][K] extends { data: infer D } ? D : never;
}[N];

/** What a job gives; without its name, what any job of the queue gives. */
export type JobResult<Q extends QueueName, N extends JobName<Q> = JobName<Q>> = {
  [K in N]: Queues[Q][K] extends { result: infer R } ? R : never;
}[N];

/** BullMQ's Job; a job's name tells the types of its data and its result. */
export type TypedJob<Q extends QueueName, N extends JobName<Q> = JobName<Q>> = {
  [K in N]: bullmq.Job<JobData<Q, K>, JobResult<Q, K>, K>;
}[N];

/** BullMQ's Queue, where a job's name tells the type of its data. */
export type TypedQueue<Q extends QueueName> = Omit<
  bullmq.Queue<JobData<Q>, JobResult<Q>, JobName<Q>>,
  "add" | "addBulk"
> & {
  add<N extends JobName<Q>>(
    name: N,
    data: JobData<Q, N>,
    opts?: bullmq.JobsOptions,
  ): Promise<bullmq.Job<JobData<Q, N>, JobResult<Q, N>, N>>;
  addBulk(
    jobs: {
      [N in JobName<Q>]: { name: N; data: JobData<Q, N>; opts?: bullmq.BulkJobOptions };
    }[JobName<Q>][],
  ): Promise<TypedJob<Q>[]>;
};

/** What BullMQ's Queue is with these types: `const Typed = Queue as unknown as ...`. */
export type TypedQueueConstructor = new <Q extends QueueName>(
  name: Q,
  opts: bullmq.QueueOptions,
) => TypedQueue<Q>;

/** A function for each job of a queue, for a worker in Node. */
export type Handlers<Q extends QueueName> = {
  [N in JobName<Q>]: (
    job: bullmq.Job<JobData<Q, N>, JobResult<Q, N>, N>,
    token?: string,
  ) => Promise<JobResult<Q, N>>;
};
