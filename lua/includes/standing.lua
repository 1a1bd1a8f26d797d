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
    *known* says that the job was on the queue for certain. Where the place in a list matters and
    costs, find(list, id) looks for it.
]]
local DUE, STARTED, ROUTED = BASE .. "bullq:due", BASE .. "bullq:started", BASE .. "bullq:routed"
local REROUTED, PARCELS = BASE .. "bullq:rerouted", BASE .. "bullq:parcels"
local EPOCH = BASE .. "bullq:epoch"

local function milliseconds()
  local clock = redis.call("TIME")
  return clock[1] * 1000 + math.floor(clock[2] / 1000)
end

local function whole(number)
  return string.format("%.0f", number)
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

local function withoutRecord(id, known)
  if known or redis.call("ZSCORE", STARTED, id) or redis.call("ZSCORE", DUE, id) then
    return "gone"
  end
  return "absent"
end

local function standing(id, known)
  local jobKey = BASE .. id
  local job = redis.call("HMGET", jobKey, "name", "ats", "processedOn", "finishedOn", "bullq:routed", "rjk")
  if job[5] or redis.call("ZSCORE", ROUTED, id) then
    return "routed"
  elseif not job[1] then
    return withoutRecord(id, known)
  elseif job[2] or job[3] or job[4] or redis.call("ZSCORE", STARTED, id)
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
