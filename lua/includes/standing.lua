--[[
  Tell where a job stands between the engines. BASE begins every key of the queue.

    standing(id, known) returns one of
      absent    nothing is known of it: it was never added
      gone      it was on the queue, and its record is not there any more: whoever ran or removed
                it, nobody else may run it
      routed    it went to another engine
      picked    a worker has begun it, perhaps long ago
      waiting   it is in wait, prioritized or (of version 5) paused, and was never begun
      delayed   the same, in delayed
      parent    it waits for its children, or has had some
      schedule  a schedule has made it
      nowhere   it has a record, and is in no list
    *known* says that the job was on the queue for certain.

    The keys of the arbiter, beside BullMQ's own:
      pickups   zset: by when a job has to begin (ms since the epoch); where that is decided, minus
                the time at which it began or went elsewhere. Outlives the job's record.
      routed    zset: which of those went elsewhere, and when
      rerouted  zset: which of those have no event that was accepted yet
      parcels   hash: what these events need
      epoch     string, made at random: with another one, data was lost
]]
local PICKUPS, ROUTED = BASE .. "bullq:pickups", BASE .. "bullq:routed"
local REROUTED, PARCELS = BASE .. "bullq:rerouted", BASE .. "bullq:parcels"
local EPOCH = BASE .. "bullq:epoch"

local function milliseconds()
  local clock = redis.call("TIME")
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end

local function whole(number)
  return string.format("%.0f", number)
end

-- What was decided before *oldest* is nobody's question any more.
local function forget(oldest)
  redis.call("ZREMRANGEBYSCORE", PICKUPS, "(-" .. whole(oldest), "(0")
  redis.call("ZREMRANGEBYSCORE", ROUTED, 0, "(" .. whole(oldest))
end

-- A job in wait is looked for from both ends: fresh ones are at the head, overdue ones at the tail.
local function inList(name, id)
  return redis.call("LPOS", BASE .. name, id, "MAXLEN", 1000)
    or redis.call("LPOS", BASE .. name, id, "RANK", -1)
end

local function hasChildren(jobKey)
  return redis.call("EXISTS", jobKey .. ":dependencies", jobKey .. ":processed",
    jobKey .. ":failed", jobKey .. ":unsuccessful") > 0
end

-- A worker has begun the job, or nobody can say any more who did.
local function decide(id, at)
  redis.call("ZADD", PICKUPS, "-" .. whole(at), id)
end

local function standing(id, known)
  local jobKey = BASE .. id
  local job = redis.call("HMGET", jobKey, "name", "ats", "processedOn", "finishedOn", "bullq:routed", "rjk")
  if job[5] or redis.call("ZSCORE", ROUTED, id) then
    return "routed"
  end
  local pickup = redis.call("ZSCORE", PICKUPS, id)
  if not job[1] then
    return (known or pickup) and "gone" or "absent"
  elseif job[2] or job[3] or job[4] or pickup and tonumber(pickup) < 0
    or redis.call("EXISTS", jobKey .. ":lock") == 1 then
    return "picked"
  elseif job[6] then
    return "schedule"
  elseif hasChildren(jobKey) then
    return "parent"
  elseif redis.call("ZSCORE", BASE .. "delayed", id) then
    return "delayed"
  elseif redis.call("ZSCORE", BASE .. "prioritized", id) or inList("wait", id)
    or inList("paused", id) then
    return "waiting"
  end
  return "nowhere"
end
