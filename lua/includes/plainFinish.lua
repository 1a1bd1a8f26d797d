--[[
  Finish common jobs, a row of neighbours at a time: each without a parent, children or
  deduplication, and with a finished set that needs no trimming now (terms.keep 0: remove the job,
  -1: keep it). Leaves what moveToFinished leaves, except that the event stream is trimmed once a
  call and `drained` is told by plainDrained.

    lastOfEachRun(settlements) gives, by run, the place of the job that trims for all of the run;
    the others are kept without trimming.
    plainFinish(settlements, first, trimmer, settled) settles from the place `first` on, up to the
    first that is no such job, and gives the place of that one. It puts 0, or a negative code as
    moveToFinished gives it, into `settled`.
]]
local trimmed = false

local function trimEvents()
  if trimmed then
    return
  end
  trimmed = true
  if not meta[4] then
    meta[4] = 10000
    redis.call("HSET", META, "opts.maxLenEvents", meta[4])
  end
  redis.call("XTRIM", EVENTS, "MAXLEN", "~", meta[4])
end

local function hasChildren(jobKey, terms)
  return terms.target == "completed"
    and redis.call("EXISTS", jobKey .. ":dependencies", jobKey .. ":unsuccessful") > 0
end

-- Only a job that moveToFinished will not refuse can trim for the others.
local function willFinish(jobKey, id, token, terms)
  return redis.call("GET", jobKey .. ":lock") == token
    and redis.call("EXISTS", jobKey) == 1
    and redis.call("LPOS", ACTIVE, id, "RANK", -1)
    and not hasChildren(jobKey, terms)
end

local function lastOfEachRun(settlements)
  local last = {}
  for index = #settlements, 1, -1 do
    local verb, id, token, _, number, run = unpack(settlements[index])
    local terms = verb == "finish" and finishTerms[number]
    if terms and not terms.keep and not last[run] and willFinish(BASE .. id, id, token, terms) then
      last[run] = index
    end
  end
  return last
end

-- How often the job has ended, this time included; nil where the stored count is no plain number.
local function ends(made)
  return not made and 1 or #made < 16 and string.find(made, "^%d+$") and made + 1 or nil
end

local function tellFinished(id, terms, value, made)
  redis.call("XADD", EVENTS, "*", "event", terms.target, "jobId", id,
    terms.property, value, "prev", "active")
  if terms.target == "failed" and made >= terms.options.attempts then
    redis.call("XADD", EVENTS, "*", "event", "retries-exhausted", "jobId", id, "attemptsMade", made)
  end
end

local function appendKeys(list, jobKey)
  local length = #list
  list[length + 1] = jobKey
  list[length + 2] = jobKey .. ":logs"
  list[length + 3] = jobKey .. ":dependencies"
  list[length + 4] = jobKey .. ":processed"
  list[length + 5] = jobKey .. ":failed"
  list[length + 6] = jobKey .. ":unsuccessful"
end

-- The row that may be finished here, and what can be asked of all its jobs in one command.
local function lookAhead(settlements, first, trimmer)
  local lockKeys, childKeys = {}, {}
  for index = first, #settlements do
    local verb, id, _, _, number, run = unpack(settlements[index])
    if verb ~= "finish" or trimmer[run] == index then
      break
    end
    local jobKey = BASE .. id
    lockKeys[#lockKeys + 1] = jobKey .. ":lock"
    if finishTerms[number].target == "completed" then
      childKeys[#childKeys + 1] = jobKey .. ":dependencies"
      childKeys[#childKeys + 1] = jobKey .. ":unsuccessful"
    end
  end
  if #lockKeys == 0 then
    return lockKeys, lockKeys, false
  end
  local locks = redis.call("MGET", unpack(lockKeys))
  return lockKeys, locks, #childKeys > 0 and redis.call("EXISTS", unpack(childKeys)) > 0
end

local function plainFinish(settlements, first, trimmer, settled)
  local lockKeys, locks, anyHasChildren = lookAhead(settlements, first, trimmer)
  local released, gone, finished = {}, {}, {}
  local index = first
  while index < first + #lockKeys do
    local _, id, token, fields, number, _, value = unpack(settlements[index])
    local jobKey, terms = BASE .. id, finishTerms[number]
    if locks[index - first + 1] ~= token then
      break
    end
    local known = redis.pcall("HMGET", jobKey, "name", "parentKey", "deid", "atm")
    local made = not known.err and ends(known[4])
    if not made or not known[1] or known[2] or known[3]
        or (anyHasChildren and hasChildren(jobKey, terms)) then
      break
    end
    local wasActive = redis.call("LREM", ACTIVE, -1, id) > 0
    released[#released + 1] = id
    gone[#gone + 1] = lockKeys[index - first + 1]
    if fields then
      redis.call("HMSET", jobKey, unpack(cmsgpack.unpack(fields)))
      made = wasActive and redis.call("HINCRBY", jobKey, "atm", 1)
    end
    if wasActive then
      trimEvents()
      if terms.keep == 0 then
        appendKeys(gone, jobKey)
      else
        redis.call("HSET", jobKey, "atm", made, terms.property, value, "finishedOn", now)
        if terms.target == "failed" then
          redis.call("HDEL", jobKey, "defa")
        end
        finished[terms.target] = finished[terms.target] or {}
        table.insert(finished[terms.target], now)
        table.insert(finished[terms.target], id)
      end
      tellFinished(id, terms, value, made)
    end
    settled[index] = wasActive and 0 or -3
    index = index + 1
  end
  if index > first then
    redis.call("SREM", STALLED, unpack(released))
    redis.call("DEL", unpack(gone))
    for target, scored in pairs(finished) do
      redis.call("ZADD", BASE .. target, unpack(scored))
    end
  end
  return index
end

local function plainDrained()
  if redis.call("LLEN", WAIT) == 0 and redis.call("LLEN", ACTIVE) == 0
      and redis.call("ZCARD", PRIORITIZED) == 0 then
    redis.call("XADD", EVENTS, "*", "event", "drained")
  end
end
