--[[
  Claim jobs that simply wait, several at once.

  Covers a queue that is not paused, not limited in rate or concurrency, and has no delayed job
  due. Leaves what moveToActive leaves, job by job.

    plainClaim(tokens) returns the jobs as {id, token, HGETALL}, as many as `wait` had; none where
    the queue is not such a one. Whoever calls it asks moveToActive for the rest. A field that the
    claim has changed stands in HGETALL twice, at last as it is now.
]]
local function takeWaiting(count)
  local ids = {}
  for _, id in ipairs(redis.call("RPOP", WAIT, count) or {}) do
    -- Older versions kept markers among the ids; moveToActive drops them, too.
    if string.sub(id, 1, 2) ~= "0:" then
      ids[#ids + 1] = id
    end
  end
  return ids
end

-- How often the job has begun, this time included; nil where that has to be counted by Redis.
-- Then, where this is the first time, the dispatcher that waits for it.
local function starts(fields)
  local dispatcher
  for place = 1, #fields, 2 do
    local name = fields[place]
    if name == "ats" then
      local made = fields[place + 1]
      return #made < 16 and string.find(made, "^%d+$") and made + 1 or nil
    elseif name == "bullq:dispatcher" then
      dispatcher = fields[place + 1]
    end
  end
  return 1, dispatcher
end

local function begun(jobKey, id)
  local fields = redis.pcall("HGETALL", jobKey)
  if fields.err then
    return {}
  end
  local ats, dispatcher = starts(fields)
  if dispatcher then
    hasStarted(dispatcher, id)
  end
  if not ats then
    redis.call("HSET", jobKey, "processedOn", now, "pb", claim.name)
    if refused("HINCRBY", jobKey, "ats", 1) then
      redis.call("HSET", jobKey, "ats", 1)
    end
    return redis.call("HGETALL", jobKey)
  end
  redis.call("HSET", jobKey, "processedOn", now, "pb", claim.name, "ats", ats)
  local length = #fields
  fields[length + 1], fields[length + 2] = "processedOn", now
  fields[length + 3], fields[length + 4] = "pb", claim.name
  fields[length + 5], fields[length + 6] = "ats", string.format("%.0f", ats)
  return fields
end

local function plainClaim(tokens)
  local claimed = {}
  if #tokens == 0 or meta[1] or meta[2] or meta[3] or claim.limiter then
    return claimed
  end
  if #redis.call("ZRANGEBYSCORE", DELAYED, 0, (now + 1) * 0x1000 - 1, "LIMIT", 0, 1) > 0 then
    return claimed
  end
  local ids = takeWaiting(#tokens)
  if #ids == 0 then
    return claimed
  end
  redis.call("LPUSH", ACTIVE, unpack(ids))
  redis.call("ZADD", MARKER, 0, "0")
  for index, id in ipairs(ids) do
    local jobKey, token = BASE .. id, tokens[index]
    redis.call("SET", jobKey .. ":lock", token, "PX", claim.lockDuration)
    redis.call("XADD", EVENTS, "*", "event", "active", "jobId", id, "prev", "waiting")
    claimed[index] = {id, token, begun(jobKey, id)}
  end
  return claimed
end
