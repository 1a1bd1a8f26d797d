--[[
  Put the jobs of a worker whose process has died back into 'wait', at once.

  The worker's jobs are told by their locks: every token of a worker begins alike. Their locks
  are deleted, and then BullMQ's own stalled check is made for these jobs alone, so that each
  death counts as a stall: a job that kills its process too often gets the failure (`defa`) that
  the worker that claims it next records.

    KEYS[1]  wait
    KEYS[2]  active
    KEYS[3]  stalled
    KEYS[4]  meta
    KEYS[5]  paused
    KEYS[6]  marker
    KEYS[7]  events
    KEYS[8]  repeat
    KEYS[9]  base: what every key of the queue begins with, the final ':' included
    KEYS[10] held: a set, there only while this script runs
    KEYS[11] held-check: a string, there only while this script runs

    ARGV[1]  what the tokens of the dead worker begin with
    ARGV[2]  how many stalls a job may have (max_stalled_count)

  Returns the ids of the jobs that went back.
]]
--- @official moveStalledJobsToWait-9

local WAIT, ACTIVE, STALLED, META = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local PAUSED, MARKER, EVENTS, REPEAT = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local BASE, HELD, CHECK = KEYS[9], KEYS[10], KEYS[11]
local prefix, allowed = ARGV[1], ARGV[2]

local found = false
for _, id in ipairs(redis.call("LRANGE", ACTIVE, 0, -1)) do
  local lock = BASE .. id .. ":lock"
  local token = redis.call("GET", lock)
  if token and string.sub(token, 1, #prefix) == prefix then
    redis.call("DEL", lock)
    redis.call("SREM", STALLED, id)
    redis.call("SADD", HELD, id)
    found = true
  end
end
if not found then
  return {}
end

local clock = redis.call("TIME")
local now = string.format("%.0f", clock[1] * 1000 + math.floor(clock[2] / 1000))
redis.call("DEL", CHECK)
local returned = moveStalledJobsToWait(
  {HELD, WAIT, ACTIVE, CHECK, META, PAUSED, MARKER, EVENTS, REPEAT}, {allowed, BASE, now, 1000})
-- The official check ends by marking all that is active for its next time, which never comes.
redis.call("DEL", HELD, CHECK)

for _, id in ipairs(returned) do
  if redis.call("HGET", BASE .. id, "defa") == "job stalled more than allowable limit" then
    redis.call("HSET", BASE .. id, "defa",
      "the worker process that ran the job died in the middle of it; stalls so far: "
      .. redis.call("HGET", BASE .. id, "stc") .. ", max_stalled_count allows " .. allowed)
  end
end
return returned
