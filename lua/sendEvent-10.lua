--[[
  Send an event to a job: it is kept in the job's hash, and a job that waits for one is woken.

  It waits where it has the field 'waits' and is due in 'delayed' when its field 'parked' says so.
  An event takes 'parked' away: who comes before that time was woken by nobody else.

    KEYS[1]  delayed
    KEYS[2]  wait
    KEYS[3]  paused
    KEYS[4]  meta
    KEYS[5]  prioritized
    KEYS[6]  active
    KEYS[7]  pc
    KEYS[8]  events
    KEYS[9]  marker
    KEYS[10] base: what every key of the queue begins with, the final ':' included

    ARGV[1]  job id
    ARGV[2]  the event: JSON with its name and payload

  Returns the event's number among those sent to the job, -1 where there is no such job, -3
  where it has ended.
]]
--- @official promote-9

local DELAYED, BASE = KEYS[1], KEYS[10]
local id, event = ARGV[1], ARGV[2]
local jobKey = BASE .. id

local known = redis.call("HMGET", jobKey, "name", "finishedOn", "waits", "parked")
if not known[1] then
  return -1
end
if known[2] then
  return -3
end
local number = redis.call("HINCRBY", jobKey, "sent", 1)
redis.call("HSET", jobKey, "event:" .. number, event)
local score = redis.call("ZSCORE", DELAYED, id)
if known[3] and score and math.floor(score / 0x1000) == tonumber(known[4]) then
  redis.call("HDEL", jobKey, "parked")
  promote({KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9]}, {BASE, id})
end
return number
