--[[
  Claim jobs that simply wait, several at once.

  Covers a queue that is not paused, not limited in rate or concurrency, and has no delayed job
  due. Leaves what moveToActive leaves, job by job.

    plainClaim(tokens, claim) returns the jobs as {id, token, HGETALL}, as many as `wait` had;
    none where the queue is not such a one. Whoever calls it asks moveToActive for the rest.
]]
local function plainClaim(tokens, claim)
  local claimed = {}
  local meta = redis.call("HMGET", META, "paused", "concurrency", "max")
  if #tokens == 0 or meta[1] or meta[2] or meta[3] or claim.limiter then
    return claimed
  end
  if #redis.call("ZRANGEBYSCORE", DELAYED, 0, (now + 1) * 0x1000 - 1, "LIMIT", 0, 1) > 0 then
    return claimed
  end
  local ids = {}
  for _, id in ipairs(redis.call("RPOP", WAIT, #tokens) or {}) do
    -- Older versions kept markers among the ids; moveToActive drops them, too.
    if string.sub(id, 1, 2) ~= "0:" then
      ids[#ids + 1] = id
    end
  end
  if #ids == 0 then
    return claimed
  end
  redis.call("LPUSH", ACTIVE, unpack(ids))
  redis.call("ZADD", MARKER, 0, "0")
  for index, id in ipairs(ids) do
    local jobKey, token = BASE .. id, tokens[index]
    redis.call("SET", jobKey .. ":lock", token, "PX", claim.lockDuration)
    redis.call("XADD", EVENTS, "*", "event", "active", "jobId", id, "prev", "waiting")
    if refused("HSET", jobKey, "processedOn", now, "pb", claim.name) then
      claimed[index] = {id, token, {}}
    else
      if refused("HINCRBY", jobKey, "ats", 1) then
        redis.call("HSET", jobKey, "ats", 1)
      end
      claimed[index] = {id, token, redis.call("HGETALL", jobKey)}
    end
  end
  return claimed
end
