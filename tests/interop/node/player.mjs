// The Node twin of the job in tests/interop/play.py: does what its data says.
// With `holds` it begins a job and never ends it; `echo` gives back what Node made of the job.
import { setTimeout as pause } from "node:timers/promises";

export const player = (bullmq, holds) => async (job) => {
  if (holds) await new Promise(() => {});
  const play = job.data ?? {};
  if (play.echo) return { data: job.data, opts: job.opts };
  for (const row of play.log ?? []) await job.log(row);
  if (play.progress != null) await job.updateProgress(play.progress);
  if (play.pause_ms) await pause(play.pause_ms);
  if (play.give_up) throw new bullmq.UnrecoverableError(play.give_up);
  if (job.attemptsMade < (play.failures ?? 0)) throw new Error(`failure ${job.attemptsMade + 1}`);
  return play.result ?? null;
};
