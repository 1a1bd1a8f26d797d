// What has to be refused: each line that ends with "// wrong" and a code, and no other.
import { Queue } from "bullmq";
import type {
  Containers,
  Fields,
  Handlers,
  JobData,
  Json,
  Scalars,
  TypedQueueConstructor,
  Unions,
} from "./jobs.js";

const connection = { url: "redis://127.0.0.1" };
const Typed = Queue as unknown as TypedQueueConstructor;
const kinds = new Typed("kinds", { connection });
const mail = new Typed("mail", { connection });

export const none = new Typed("kind", { connection }); // wrong TS2345
void kinds.add("order", { names: [] }); // wrong TS2345
void kinds.add("shapes", { a: "one" }); // wrong TS2322
void kinds.add("take:both 2", { count: "1" }); // wrong TS2322
void kinds.add("take:both 2", { cuont: 1 }); // wrong TS2561
void kinds.addBulk([{ name: "shapes", data: { names: [] } }]); // wrong TS2322
void mail.add("order", {}); // wrong TS2741

export const number: Scalars["count"] = "1"; // wrong TS2322
export const moment: Scalars["at"] = new Date(); // wrong TS2322
export const nothing: Scalars["nothing"] = undefined; // wrong TS2322
export const short: Containers["point"] = [1]; // wrong TS2322
export const turned: Containers["led"] = [2, "a"]; // wrong TS2322
export const list: Containers["mixed"] = [1, true]; // wrong TS2322
export const key: Containers["by_colour"] = { blue: 1 }; // wrong TS2353
export const value: Containers["by_name"] = { home: "A" }; // wrong TS2322
export const colour: Unions["colour"] = "blue"; // wrong TS2322
export const size: Unions["size"] = 3; // wrong TS2322
export const literal: Unions["mode"] = false; // wrong TS2322
export const untold: Unions["pet"] = { lives: 9 }; // wrong TS2322
export const crossed: Unions["pet"] = { kind: "dog", lives: 9 }; // wrong TS2353
export const tree: Unions["tree"] = { value: 1, children: [{ vlaue: 2 }] }; // wrong TS2561
export const json: Json = { at: new Date() }; // wrong TS2322
export const box: Unions["box"] = { inside: "1" }; // wrong TS2322
export const missing: Fields = { class: 4 }; // wrong TS2739
export const nullable: NonNullable<Fields["day"]> = null; // wrong TS2322
export const excess: JobData<"kinds", "everything">["closed"] = { name: "n", other: 1 }; // wrong TS2353

export const handlers: Handlers<"mail"> = {
  order: async () => ({ weight: "1" }), // wrong TS2322
  announce: async () => null,
};
export const partial: Handlers<"mail"> = { announce: async () => null }; // wrong TS2741
