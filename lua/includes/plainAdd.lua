--[[
  Add common jobs: ones with an id of their own and without parent, deduplication or priority.
  Leaves what addStandardJob and addDelayedJob leave, job by job, and the fields of the flat list
  MORE where there is one; what all jobs of a call have in common is read and written once.

    plainBegin(runs) sees which ids are taken, unless NONE_TAKEN says that none is, and counts the
    jobs.
    plainAdd(kind, jobs, first) adds jobs, a flat list of ids and data; *first* is the place of
    the first one in the call.
    plainPush() puts what was added into the list of waiting jobs, and tells workers: to be called
    at the end, and before anything else is added.
]]
local NAME, BEFORE_ID, AFTER_ID, TIMESTAMP, LIFO, DELAY = 1, 2, 3, 4, 5, 6

local free = true -- no id of the call was taken when it began, and only plainAdd has added since
local here = {}
local queue
local front, back, delayed = {}, {}, false

local function plainBegin(runs)
  local keys = {}
  if NONE_TAKEN then
    local count = 0
    for _, run in ipairs(runs) do
      count = count + (type(run[1]) == "number" and #run[2] / 2 or 0)
    end
    return count
  end
  for _, run in ipairs(runs) do
    if type(run[1]) == "number" then
      for place = 1, #run[2], 2 do
        keys[#keys + 1] = BASE .. run[2][place]
      end
    end
  end
  if #keys == 0 then
    return 0
  end
  free = redis.call("EXISTS", unpack(keys)) == 0
  return #keys
end

local function readQueue()
  local known = redis.call("HMGET", META, "paused", "concurrency", "opts.maxLenEvents")
  if not known[3] then
    known[3] = "10000"
    redis.call("HSET", META, "opts.maxLenEvents", known[3])
  end
  return {
    closed = known[1] or (known[2] and redis.call("LLEN", ACTIVE) >= tonumber(known[2])),
    longest = known[3]
  }
end

local function tellTaken(jobKey, id)
  redis.call("HGET", jobKey, "parentKey") -- an error where it is no job
  redis.call("XADD", EVENTS, "MAXLEN", "~", queue.longest, "*", "event", "duplicated", "jobId", id)
  return id
end

local function store(kind, jobKey, id, data)
  local options = kind[BEFORE_ID] .. cjson.encode(id) .. kind[AFTER_ID]
  local timestamp, wait = kind[TIMESTAMP] or NOW, kind[DELAY] or "0"
  if MORE then
    redis.call("HSET", jobKey, "name", kind[NAME], "data", data, "opts", options,
      "timestamp", timestamp, "delay", wait, "priority", "0", unpack(MORE))
  else
    redis.call("HSET", jobKey, "name", kind[NAME], "data", data, "opts", options,
      "timestamp", timestamp, "delay", wait, "priority", "0")
  end
  redis.call("XADD", EVENTS, "*", "event", "added", "jobId", id, "name", kind[NAME])
end

-- The last job of a run trims the event stream for all of them.
local function tellWaiting(id, last)
  if last then
    redis.call("XADD", EVENTS, "MAXLEN", "~", queue.longest, "*", "event", "waiting", "jobId", id)
  else
    redis.call("XADD", EVENTS, "*", "event", "waiting", "jobId", id)
  end
end

-- BullMQ's scores are due times in units of 1/4096 ms: jobs due in the same one keep their order.
local function delay(id, due)
  local most = (due + 1) * 0x1000 - 1
  local before = redis.call("ZREVRANGEBYSCORE", DELAYED, most, due * 0x1000, "WITHSCORES", "LIMIT", 0, 1)
  local score = before[2] and math.min(tonumber(before[2]) + 1, most) or due * 0x1000
  redis.call("ZADD", DELAYED, score, id)
  redis.call("XADD", EVENTS, "MAXLEN", "~", queue.longest, "*",
    "event", "delayed", "jobId", id, "delay", due)
  delayed = true
end

local function plainAdd(kind, jobs, first)
  queue = queue or readQueue()
  local waiting = kind[LIFO] and front or back
  local due = kind[DELAY] and tonumber(kind[TIMESTAMP] or NOW) + tonumber(kind[DELAY])
  for place = 1, #jobs, 2 do
    local id = jobs[place]
    local jobKey = BASE .. id
    if here[id] or not free and redis.call("EXISTS", jobKey) == 1 then
      tell(first + (place - 1) / 2, id, pcall(tellTaken, jobKey, id))
    else
      store(kind, jobKey, id, jobs[place + 1])
      here[id] = true
      if due then
        delay(id, due)
      else
        waiting[#waiting + 1] = id
        tellWaiting(id, place + 1 == #jobs)
      end
    end
  end
end

local function plainPush()
  if #back > 0 then
    redis.call("LPUSH", WAIT, unpack(back))
  end
  if #front > 0 then
    redis.call("RPUSH", WAIT, unpack(front))
  end
  if (#back > 0 or #front > 0) and not queue.closed then
    redis.call("ZADD", MARKER, 0, "0")
  end
  if delayed then
    local first = redis.call("ZRANGE", DELAYED, 0, 0, "WITHSCORES")
    redis.call("ZADD", MARKER, first[2] / 0x1000, "1")
  end
  front, back, delayed, free = {}, {}, false, false
end
