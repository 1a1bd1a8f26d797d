--[[
  Record steps of running jobs, and park jobs that wait for something; many in one call.

  A worker whose lock is gone changes nothing. Time is the server's. Parked jobs are moved by
  BullMQ's own scripts, so that every client finds them where it looks: in 'delayed' until the
  first of their timers, in 'waiting-children' where they wait for children alone.

    KEYS[1]  wait
    KEYS[2]  active
    KEYS[3]  prioritized
    KEYS[4]  events
    KEYS[5]  stalled
    KEYS[6]  limiter
    KEYS[7]  delayed
    KEYS[8]  paused
    KEYS[9]  meta
    KEYS[10] pc
    KEYS[11] marker
    KEYS[12] waiting-children
    KEYS[13] base: what every key of the queue begins with, the final ':' included

    ARGV[1]  msgpack list of records, each a map:
               id      job id
               token   the lock's token
               fields  flat list of fields to set on the job, or absent
               effect  {key, result, ms to keep it}, or absent: where there is another one under
                       the key, it counts, and nothing of this record is written
               park    'delayed' | 'children', or absent: the job goes on
             and for 'delayed':
               timers  list of {field, head, delay (ms) or absent, at (ms since the epoch) or absent}:
                       field is set to head, the time and '}'
               failed  true where the pause counts as a failed attempt
               sent    how many events the job has seen, where it waits for one, or absent; with
                       more than that it goes back to 'wait'
             A job in 'delayed' has its due time in 'parked', and 'waits' where an event wakes it.

  Returns one answer per record: 0, a negative number when refused, a text '=' and the effect's
  recorded result, or '!' and an error's text.
]]
--- @official moveToDelayed-11
--- @official moveToWaitingChildren-7
--- @official moveJobFromActiveToWait-9

local WAIT, ACTIVE, PRIORITIZED, EVENTS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local STALLED, LIMITER, DELAYED, PAUSED = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local META, PC, MARKER, CHILDREN, BASE = KEYS[9], KEYS[10], KEYS[11], KEYS[12], KEYS[13]

local clock = redis.call("TIME")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function text(number)
  return string.format("%.0f", number)
end

local function refusal(job, jobKey)
  local token = redis.call("GET", jobKey .. ":lock")
  if token == job.token then
    return nil
  end
  if redis.call("EXISTS", jobKey) == 0 then
    return -1
  end
  return token and -6 or -2
end

local function back(job, jobKey)
  local answer = moveJobFromActiveToWait(
    {ACTIVE, WAIT, STALLED, PAUSED, META, LIMITER, PRIORITIZED, MARKER, EVENTS},
    {job.id, job.token, jobKey})
  return math.min(answer, 0)
end

local park = {}

function park.children(job, jobKey)
  local answer = moveToWaitingChildren(
    {ACTIVE, CHILDREN, jobKey, jobKey .. ":dependencies", jobKey .. ":unsuccessful", STALLED, EVENTS},
    {job.token, "", text(now), job.id, BASE})
  -- The children have ended since the job asked.
  return answer == 1 and back(job, jobKey) or answer
end

function park.delayed(job, jobKey)
  local due
  for _, timer in ipairs(job.timers) do
    local at = timer.at or now + timer.delay
    redis.call("HSET", jobKey, timer.field, timer.head .. text(at) .. "}")
    if not due or at < due then
      due = at
    end
  end
  if job.sent and (redis.call("HGET", jobKey, "sent") or "0") ~= text(job.sent) then
    return back(job, jobKey)
  end
  redis.call("HSET", jobKey, "parked", text(due))
  if job.sent then
    redis.call("HSET", jobKey, "waits", 1)
  else
    redis.call("HDEL", jobKey, "waits")
  end
  return moveToDelayed(
    {MARKER, ACTIVE, PRIORITIZED, DELAYED, jobKey, EVENTS, META, STALLED, WAIT, LIMITER, PC},
    {BASE, text(now), job.id, job.token, text(math.max(0, due - now)), job.failed and "0" or "1", "", "0"})
end

local function record(job, jobKey)
  local refused = refusal(job, jobKey)
  if refused then
    return refused
  end
  if job.effect then
    local key = BASE .. "once:=" .. job.effect[1]
    if not redis.call("SET", key, job.effect[2], "NX", "PX", job.effect[3]) then
      local kept = redis.call("GET", key)
      if kept ~= job.effect[2] then
        return "=" .. kept
      end
    end
  end
  if job.fields then
    redis.call("HSET", jobKey, unpack(job.fields))
  end
  return job.park and park[job.park](job, jobKey) or 0
end

-- A write of nothing: a server that refuses writes refuses the whole call here.
redis.call("DEL", BASE)

local answers = {}
for index, job in ipairs(cmsgpack.unpack(ARGV[1])) do
  local ok, answer = pcall(record, job, BASE .. job.id)
  if not ok then
    answer = "!" .. (type(answer) == "table" and answer.err or tostring(answer))
  end
  answers[index] = answer
end
return answers
