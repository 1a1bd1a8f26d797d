--[[
  Read where jobs stand and how their queue does, changing nothing.

    KEYS[1]  base: what every key of the queue begins with, the final ':' included

    ARGV[1]  msgpack list of job ids

  Returns {time in ms, epoch or empty,
           what the queue does, a list:
             1 where it is paused,
             jobs in wait (and paused), in prioritized, in delayed, in active,
             how many jobs may be active, or 0 for any number,
             ms until the rate limit ends, or 0,
             when a job was claimed last as far as can be told, ms since the epoch, or 0,
             1 where a worker holds the lock of the job claimed last,
           where each job stands (see includes/standing)}
]]
local BASE = KEYS[1]

--- @include standing

local NEWEST_EVENTS = 64

local function lastClaim()
  local newest = redis.call("LINDEX", BASE .. "active", 0)
  if newest then
    local held = redis.call("EXISTS", BASE .. newest .. ":lock")
    local begun = redis.call("HGET", BASE .. newest, "processedOn")
    if begun then
      return begun, held
    end
  end
  local events = redis.call("XREVRANGE", BASE .. "events", "+", "-", "COUNT", NEWEST_EVENTS)
  for _, event in ipairs(events) do
    if event[2][2] == "active" then
      return string.match(event[1], "^%d+"), 0
    end
  end
  return "0", 0
end

local function limited(max)
  local counted = max and redis.call("GET", BASE .. "limiter")
  return counted and tonumber(counted) >= tonumber(max) and math.max(0, redis.call("PTTL", BASE .. "limiter")) or 0
end

local meta = redis.call("HMGET", BASE .. "meta", "paused", "concurrency", "max")
local claimed, held = lastClaim()
local queue = {
  meta[1] and 1 or 0,
  redis.call("LLEN", BASE .. "wait") + redis.call("LLEN", BASE .. "paused"),
  redis.call("ZCARD", BASE .. "prioritized"),
  redis.call("ZCARD", BASE .. "delayed"),
  redis.call("LLEN", BASE .. "active"),
  tonumber(meta[2] or 0),
  limited(meta[3]),
  claimed,
  held
}
local states = {}
for place, id in ipairs(cmsgpack.unpack(ARGV[1])) do
  states[place] = standing(id, false)
end
return {whole(milliseconds()), redis.call("GET", EPOCH) or "", queue, states}
