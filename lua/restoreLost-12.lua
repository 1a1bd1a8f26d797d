--[[
  Have jobs wait again that are in no state: their records are there, and no list knows of them.

  That is what a client of BullMQ 5 leaves that resumes a queue in which newer clients have left
  jobs waiting. Only jobs that have not ended and that no worker holds are touched.

    KEYS[1]  wait
    KEYS[2]  paused
    KEYS[3]  active
    KEYS[4]  prioritized
    KEYS[5]  delayed
    KEYS[6]  waiting-children
    KEYS[7]  completed
    KEYS[8]  failed
    KEYS[9]  marker
    KEYS[10] meta
    KEYS[11] events
    KEYS[12] base: what every key of the queue begins with, the final ':' included

    ARGV     ids, those first that are to begin last

  Returns the ids of the jobs that were restored.
]]
local WAIT, PRIORITIZED = KEYS[1], KEYS[4]
local LISTS = {WAIT, KEYS[2], KEYS[3]}
local SETS = {PRIORITIZED, KEYS[5], KEYS[6], KEYS[7], KEYS[8]}
local MARKER, META, EVENTS, BASE = KEYS[9], KEYS[10], KEYS[11], KEYS[12]

local function isKnown(id)
  for _, list in ipairs(LISTS) do
    if redis.call("LPOS", list, id) then
      return true
    end
  end
  for _, set in ipairs(SETS) do
    if redis.call("ZSCORE", set, id) then
      return true
    end
  end
  return redis.call("EXISTS", BASE .. id .. ":lock") == 1
end

local restored = {}
for _, id in ipairs(ARGV) do
  local fields = redis.call("HMGET", BASE .. id, "name", "timestamp", "finishedOn", "priority")
  if fields[1] and fields[2] and not fields[3] and not isKnown(id) then
    local priority = tonumber(fields[4]) or 0
    if priority > 0 then
      -- Before all others of its priority.
      redis.call("ZADD", PRIORITIZED, priority * 0x100000000, id)
    else
      redis.call("RPUSH", WAIT, id)
    end
    redis.call("XADD", EVENTS, "*", "event", "waiting", "jobId", id)
    restored[#restored + 1] = id
  end
end
if #restored > 0 and redis.call("HEXISTS", META, "paused") == 0 then
  redis.call("ZADD", MARKER, 0, "0")
end
return restored
