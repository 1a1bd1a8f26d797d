// Hears a queue's events through QueueEvents, in order, and tells when one has come.

const EVENTS = [
  "added", "waiting", "delayed", "waiting-children", "active", "progress", "completed", "failed",
  "retries-exhausted", "stalled", "drained", "paused", "resumed", "removed", "cleaned",
  "duplicated", "deduplicated", "debounced", "end-of-test",
];

export class Listener {
  #heard = [];
  #waiting = new Set();

  constructor(source) {
    this.source = source;
    source.setMaxListeners(0);
    for (const event of EVENTS) {
      source.on(event, (entry) => {
        // `drained` comes with the id of its entry alone.
        this.#heard.push(typeof entry === "object" ? { event, ...entry } : { event });
        for (const check of this.#waiting) check();
      });
    }
  }

  until(event, id, count) {
    return new Promise((resolve) => {
      const check = () => {
        const found = this.#heard.filter(
          (entry) => entry.event === event && (id === null || entry.jobId === id),
        );
        if (found.length < count) return;
        this.#waiting.delete(check);
        resolve([...this.#heard]);
      };
      this.#waiting.add(check);
      check();
    });
  }
}
