--[[
  Finish a common job: one without a parent, children or deduplication, whose finished set needs
  no trimming now (`keep` 0: remove it, -1: keep it). Leaves what moveToFinished leaves, except
  that the event stream is trimmed once a call and `drained` is told by plainDrained.

    trimOncePerRun(settlements) lets all but the last job of a run be kept without trimming.
    plainFinish(job, jobKey) returns 0, a negative code as moveToFinished gives it, or nil where
    the job is no such one: then nothing was changed, and moveToFinished has to be asked.
]]
local trimmed = false

local function trimEvents()
  if trimmed then
    return
  end
  trimmed = true
  local longest = redis.call("HGET", META, "opts.maxLenEvents")
  if not longest then
    longest = 10000
    redis.call("HSET", META, "opts.maxLenEvents", longest)
  end
  redis.call("XTRIM", EVENTS, "MAXLEN", "~", longest)
end

local function hasChildren(job, jobKey)
  return job.target == "completed"
    and redis.call("EXISTS", jobKey .. ":dependencies", jobKey .. ":unsuccessful") > 0
end

-- Only a job that moveToFinished will not refuse can trim for the others.
local function willFinish(job, jobKey)
  return redis.call("GET", jobKey .. ":lock") == job.token
    and redis.call("EXISTS", jobKey) == 1
    and redis.call("LPOS", ACTIVE, job.id, "RANK", -1)
    and not hasChildren(job, jobKey)
end

local function trimOncePerRun(settlements)
  local trimmer = {}
  for index = #settlements, 1, -1 do
    local job = settlements[index]
    if job.run and trimmer[job.run] then
      job.keep = -1
    elseif job.run and willFinish(job, BASE .. job.id) then
      trimmer[job.run] = index
    end
  end
end

local function plainFinish(job, jobKey)
  if not job.keep or redis.call("GET", jobKey .. ":lock") ~= job.token then
    return nil
  end
  local known = redis.call("HMGET", jobKey, "name", "parentKey", "deid")
  if not known[1] or known[2] or known[3] then
    return nil
  end
  if hasChildren(job, jobKey) then
    return nil
  end
  local completed = job.target == "completed"

  redis.call("SREM", STALLED, job.id)
  if redis.call("LREM", ACTIVE, -1, job.id) < 1 then
    redis.call("DEL", jobKey .. ":lock")
    if job.fields then
      redis.call("HMSET", jobKey, unpack(cmsgpack.unpack(job.fields)))
    end
    return -3
  end
  trimEvents()
  local made
  if job.keep == 0 then
    made = completed or redis.call("HINCRBY", jobKey, "atm", 1)
    redis.call("DEL", jobKey .. ":lock", jobKey, jobKey .. ":logs", jobKey .. ":dependencies",
      jobKey .. ":processed", jobKey .. ":failed", jobKey .. ":unsuccessful")
  else
    redis.call("DEL", jobKey .. ":lock")
    if job.fields then
      redis.call("HMSET", jobKey, unpack(cmsgpack.unpack(job.fields)))
    end
    made = redis.call("HINCRBY", jobKey, "atm", 1)
    redis.call("ZADD", BASE .. job.target, now, job.id)
    redis.call("HSET", jobKey, job.property, job.value, "finishedOn", now)
    if not completed then
      redis.call("HDEL", jobKey, "defa")
    end
  end
  redis.call("XADD", EVENTS, "*", "event", job.target, "jobId", job.id,
    job.property, job.value, "prev", "active")
  if not completed and made >= job.attempts then
    redis.call("XADD", EVENTS, "*", "event", "retries-exhausted", "jobId", job.id,
      "attemptsMade", made)
  end
  return 0
end

local function plainDrained()
  if redis.call("LLEN", WAIT) == 0 and redis.call("LLEN", ACTIVE) == 0
      and redis.call("ZCARD", PRIORITIZED) == 0 then
    redis.call("XADD", EVENTS, "*", "event", "drained")
  end
end
