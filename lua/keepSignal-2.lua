--[[
  Keep an event for a job unless BullMQ has it, which has a place of its own for them: the job may
  be at another engine, or come to one.

    KEYS[1]  job
    KEYS[2]  signals: a list of JSON texts, the oldest first

    ARGV[1]  the event: JSON with its name ('event') and its payload, as JSON text
    ARGV[2]  for how many ms it is kept

  Returns 1 where it is kept, 0 where BullMQ has the job.
]]

local JOB, SIGNALS = KEYS[1], KEYS[2]

local known = redis.call("HMGET", JOB, "name", "engine")
if known[1] and not known[2] then
  return 0
end
redis.call("RPUSH", SIGNALS, ARGV[1])
redis.call("PEXPIRE", SIGNALS, ARGV[2])
return 1
