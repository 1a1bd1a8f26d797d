// A worker: the storefront runs the jobs of its own queue, which Python services dispatch.
import { createHash } from "node:crypto";
import { work } from "./queues.js";

const words = { en: "In stock", de: "Auf Lager" };

const worker = work("storefront", {
  "refresh-page": async (job) => {
    const { sku, locale } = job.data;
    const page = `<h1>${sku}</h1><p>${words[locale]}</p>`;
    await job.log(`rendered ${sku}`);
    return {
      path: `/${locale}/${sku}`,
      bytes: Buffer.byteLength(page),
      etag: createHash("sha256").update(page).digest("hex").slice(0, 12),
    };
  },
});

worker.on("ready", () => console.log("the storefront works on its queue"));
worker.on("error", (error) => console.error(`storefront: ${error.message}`));
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => void worker.close());
}
