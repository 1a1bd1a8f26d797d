--[[
  Record how a job has ended that another engine has run, as BullMQ records its own: dashboards
  list it, and whoever waits for its result hears of it.

  A job that BullMQ has and has not finished is left alone: it is not the other engine's.

    KEYS[1]  job
    KEYS[2]  completed
    KEYS[3]  failed
    KEYS[4]  events
    KEYS[5]  meta

    ARGV[1]  job id
    ARGV[2]  'completed' | 'failed'
    ARGV[3]  its result as JSON, or the reason of its failure
    ARGV[4]  JSON list of stack traces
    ARGV[5]  attempts made
    ARGV[6]  '1' where it was cancelled: should it end otherwise all the same, that replaces it

  Returns 1 where it is on record, 0 where it was already, -1 where there is no such job, -2 where
  BullMQ has it.
]]

local JOB, COMPLETED, FAILED, EVENTS, META = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local id, state, value, traces, attempts = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local known = redis.call("HMGET", JOB, "name", "engine", "finishedOn", "ended")
if not known[1] then
  return -1
end
if not known[2] and not known[3] then
  return -2
end
if known[4] then
  return 0
end

local clock = redis.call("TIME")
local now = string.format("%.0f", clock[1] * 1000 + math.floor(clock[2] / 1000))
local field = state == "completed" and "returnvalue" or "failedReason"
redis.call("HDEL", JOB, "returnvalue", "failedReason")
redis.call("HSET", JOB, field, value, "stacktrace", traces, "atm", attempts, "ats", attempts,
  "finishedOn", now, ARGV[6] == "1" and "cancelled" or "ended", "1")
redis.call("ZREM", state == "completed" and FAILED or COMPLETED, id)
redis.call("ZADD", state == "completed" and COMPLETED or FAILED, now, id)

local longest = redis.call("HGET", META, "opts.maxLenEvents") or "10000"
redis.call("XADD", EVENTS, "MAXLEN", "~", longest, "*",
  "event", state, "jobId", id, field, value, "prev", "active")
return 1
