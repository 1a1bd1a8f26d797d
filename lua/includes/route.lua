--[[
  Take a job that nobody has begun off the queue and leave a tombstone in its place, so that an
  add that comes late finds the id taken.

  Parents, deduplication keys and sub-keys are freed by BullMQ's own removal (removeJob, to be
  wrapped before this). The tombstone is the job's record, filed as completed with the result
  {"routed":"inngest"}; whoever waits hears of it as of any completed job. What its event needs is
  kept apart until that is accepted: finished jobs may be trimmed at any moment.

    route(id, prev, now) routes a job of the queue; *prev* is its state, as events call it.
    bury(id, job, now) makes the tombstone of a job that never came: *job* is a list of name, data
    (JSON text), options (JSON text), when it was made (ms since the epoch).
    parcel(id) returns what the event of a routed job needs, a list: name, data, options, when it
    was made, when it is due (both ms since the epoch); or nothing where it was accepted.
]]
local RESULT = '{"routed":"inngest"}'
local NAME, DATA, OPTIONS, TIMESTAMP = 1, 2, 3, 4

local function file(id, job, due, prev, now)
  local jobKey, at = BASE .. id, whole(now)
  redis.call("HSET", jobKey, "name", job[NAME], "data", job[DATA], "opts", job[OPTIONS],
    "timestamp", job[TIMESTAMP], "finishedOn", at, "returnvalue", RESULT,
    "engine", "inngest", "bullq:routed", at)
  redis.call("ZADD", BASE .. "completed", at, id)
  redis.call("ZADD", PICKUPS, "-" .. at, id)
  redis.call("ZADD", ROUTED, at, id)
  redis.call("ZADD", REROUTED, at, id)
  redis.call("HSET", PARCELS, id, cmsgpack.pack({job[NAME], job[DATA], job[OPTIONS], job[TIMESTAMP], due}))
  local longest = redis.call("HGET", BASE .. "meta", "opts.maxLenEvents") or "10000"
  redis.call("XADD", BASE .. "events", "MAXLEN", "~", longest, "*",
    "event", "completed", "jobId", id, "returnvalue", RESULT, "prev", prev)
end

-- An id can be in a list although its record is gone, as where Redis evicts keys: a worker that
-- came upon it would take the tombstone for a job.
local function bury(id, job, now)
  redis.call("LREM", BASE .. "wait", 0, id)
  redis.call("LREM", BASE .. "paused", 0, id)
  redis.call("ZREM", BASE .. "prioritized", id)
  redis.call("ZREM", BASE .. "delayed", id)
  file(id, job, whole(now), "unknown", now)
end

-- Events that came before the job left are kept where the other engine looks for them: their
-- payload stays the text that it was.
local SEPARATOR, KEEP_SIGNALS = '","payload":', 30 * 24 * 3600000
local function moveEvents(id)
  local jobKey = BASE .. id
  local sent = tonumber(redis.call("HGET", jobKey, "sent") or 0)
  for number = 1, sent do
    local text = redis.call("HGET", jobKey, "event:" .. number)
    local from, to = string.find(text or "", SEPARATOR, 1, true)
    if from then
      local name = cjson.decode(string.sub(text, 1, from) .. "}").name
      local signal = cjson.encode({event = name, payload = string.sub(text, to + 1, -2)})
      redis.call("RPUSH", jobKey .. ":signals", signal)
    end
  end
  if sent > 0 then
    redis.call("PEXPIRE", jobKey .. ":signals", KEEP_SIGNALS)
  end
end

-- Overdue jobs of a long list are at its tail, which the official removal would come to last: so
-- they are taken out here, and the removal finds them where finding costs nothing.
local function takeFromList(name, id)
  return redis.call("LREM", BASE .. name, -1, id) == 1
end

local function route(id, prev, now)
  local jobKey = BASE .. id
  local job = redis.call("HMGET", jobKey, "name", "data", "opts", "timestamp", "bullq:dispatcher")
  local score = redis.call("ZSCORE", BASE .. "delayed", id)
  local due = score and whole(math.floor(score / 4096)) or whole(now)
  if takeFromList("wait", id) or takeFromList("paused", id) then
    redis.call("ZADD", BASE .. "completed", now, id)
  end
  moveEvents(id)
  removeJob({jobKey, BASE .. "repeat"}, {id, "0", BASE})
  -- It was moved, not removed: nobody has seen the last event yet, which says otherwise.
  local last = redis.call("XREVRANGE", BASE .. "events", "+", "-", "COUNT", 1)[1]
  if last and last[2][2] == "removed" and last[2][4] == id then
    redis.call("XDEL", BASE .. "events", last[1])
  end
  file(id, {job[1], job[2] or "null", job[3] or "{}", job[4] or whole(now)}, due, prev, now)
  if job[5] then
    redis.call("HSET", jobKey, "bullq:dispatcher", job[5])
  end
end

local function parcel(id)
  local packed = redis.call("HGET", PARCELS, id)
  return packed and cmsgpack.unpack(packed) or {}
end
