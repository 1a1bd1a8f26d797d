--[[
  Make the record of a job that another engine runs, unless there is one: its log has a place then.

  A tombstone gets the time at which the job has begun. A record that is made is in none of BullMQ's
  lists until endElsewhere files it as completed or failed.

    KEYS[1]  job

    ARGV[1]  the engine's name
    ARGV[2]  the job's name
    ARGV[3]  its payload, JSON
    ARGV[4]  its options, JSON
    ARGV[5]  when it was dispatched, ms since the epoch

  Returns 1 where it has made one, 0 where there is one.
]]

local JOB = KEYS[1]
local engine, name, data, opts, timestamp = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]

local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
if redis.call("EXISTS", JOB) == 1 then
  if redis.call("HEXISTS", JOB, "bullq:routed") == 1 then
    redis.call("HSETNX", JOB, "processedOn", string.format("%.0f", now))
  end
  return 0
end
redis.call("HSET", JOB,
  "name", name, "data", data, "opts", opts, "timestamp", timestamp, "delay", "0", "priority", "0",
  "processedOn", string.format("%.0f", now), "engine", engine)
return 1
