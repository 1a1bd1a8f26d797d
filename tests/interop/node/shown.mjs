// Turns what BullMQ gives into plain data.

const FIELDS = [
  "id", "name", "data", "opts", "progress", "delay", "priority", "timestamp", "attemptsMade",
  "attemptsStarted", "stalledCounter", "processedBy", "processedOn", "finishedOn", "returnvalue",
  "failedReason", "stacktrace", "deferredFailure", "deduplicationId", "repeatJobKey", "parent",
];

export function shown(value) {
  if (Array.isArray(value)) return value.map(shown);
  if (typeof value?.updateProgress === "function") {
    return Object.fromEntries(FIELDS.map((field) => [field, value[field] ?? null]));
  }
  // A Queue or a client, as some methods give, is nothing to tell.
  return typeof value?.on === "function" ? null : value;
}
