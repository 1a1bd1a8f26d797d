--[[
  Settle jobs that have ended and claim new ones, in one call and in this order.

  Every change of state is made by BullMQ's own scripts, whose text is read from the installed
  package and wrapped as functions below, so that what is left in Redis is what they leave.
  Time is the server's.

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
    KEYS[12] base: what every key of the queue begins with, the final ':' included

    ARGV[1]  msgpack list of settlements, each a map:
               verb    'finish' | 'retry' | 'delay' | 'return' | 'discard'
               id      job id
               token   the lock's token
               fields  msgpacked flat list of fields to set on the job, or absent
             and by verb:
               finish  target 'completed' | 'failed', property 'returnvalue' | 'failedReason',
                       value, options (msgpacked, as moveToFinished takes them)
               retry   push 'LPUSH' | 'RPUSH'
               delay   delay (ms), skipAttempt '1' | '0'
    ARGV[2]  msgpack map of the claim:
               tokens        one per job wanted
               lockDuration  ms
               limiter       {max, duration (ms)}, or absent
               name          the worker's name
               resent        true when an earlier call with these tokens went unanswered:
                             what it claimed is found by its locks and given again

  Returns {server time in ms,
           one answer per settlement: a number, negative when refused, or an error's text,
           claimed jobs as {id, token, HGETALL},
           ms until the rate limit ends or 0,
           ms since the epoch when the next delayed job is due or 0}
]]
--- @official moveToFinished-14
--- @official moveToDelayed-11
--- @official retryJob-11
--- @official moveJobFromActiveToWait-9
--- @official moveToActive-11

local WAIT, ACTIVE, PRIORITIZED, EVENTS, STALLED, LIMITER = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local DELAYED, PAUSED, META, PC, MARKER, BASE = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]

local clock = redis.call("TIME")
local now = string.format("%.0f", clock[1] * 1000 + math.floor(clock[2] / 1000))

local settle = {}

function settle.finish(job, jobKey)
  return moveToFinished(
    {WAIT, ACTIVE, PRIORITIZED, EVENTS, STALLED, LIMITER, DELAYED, PAUSED, META, PC,
      BASE .. job.target, jobKey, BASE .. "metrics:" .. job.target, MARKER},
    {job.id, now, job.property, job.value, job.target, "", BASE, job.options, job.fields})
end

function settle.retry(job, jobKey)
  return retryJob(
    {ACTIVE, WAIT, PAUSED, jobKey, META, EVENTS, DELAYED, PRIORITIZED, PC, MARKER, STALLED},
    {BASE, now, job.push, job.id, job.token, job.fields})
end

function settle.delay(job, jobKey)
  return moveToDelayed(
    {MARKER, ACTIVE, PRIORITIZED, DELAYED, jobKey, EVENTS, META, STALLED, WAIT, LIMITER, PC},
    {BASE, now, job.id, job.token, job.delay, job.skipAttempt, job.fields or "", "0"})
end

settle["return"] = function(job, jobKey)
  return moveJobFromActiveToWait(
    {ACTIVE, WAIT, STALLED, PAUSED, META, LIMITER, PRIORITIZED, MARKER, EVENTS},
    {job.id, job.token, jobKey})
end

-- An id without a job: claiming it has made a hash of nothing but the claim's own fields.
function settle.discard(job, jobKey)
  if redis.call("GET", jobKey .. ":lock") ~= job.token then
    return -6
  end
  redis.call("DEL", jobKey, jobKey .. ":lock")
  redis.call("SREM", STALLED, job.id)
  redis.call("LREM", ACTIVE, -1, job.id)
  redis.call("XADD", EVENTS, "*", "event", "removed", "jobId", job.id, "prev", "active")
  return 0
end

-- A write of nothing: a server that refuses writes (a replica, a full disk) refuses the whole call
-- here. Met later, its refusal would be taken for the answer to one settlement.
redis.call("DEL", BASE)

local settled = {}
for index, job in ipairs(cmsgpack.unpack(ARGV[1])) do
  local ok, answer = pcall(settle[job.verb], job, BASE .. job.id)
  if not ok then
    answer = type(answer) == "table" and answer.err or tostring(answer)
  end
  settled[index] = answer
end

local claim = cmsgpack.unpack(ARGV[2])
local claimed = {}
local wanted = {}

if claim.resent then
  local open = {}
  for _, token in ipairs(claim.tokens) do
    open[token] = true
  end
  for _, id in ipairs(redis.call("LRANGE", ACTIVE, 0, -1)) do
    local token = redis.call("GET", BASE .. id .. ":lock")
    if token and open[token] then
      open[token] = nil
      claimed[#claimed + 1] = {id, token, redis.call("HGETALL", BASE .. id)}
    end
  end
  for _, token in ipairs(claim.tokens) do
    if open[token] then
      wanted[#wanted + 1] = token
    end
  end
else
  wanted = claim.tokens
end

local limitedFor, nextDelayed = 0, 0
for _, token in ipairs(wanted) do
  local answer = moveToActive(
    {WAIT, ACTIVE, PRIORITIZED, EVENTS, STALLED, LIMITER, DELAYED, PAUSED, META, PC, MARKER},
    {BASE, now, cmsgpack.pack({
      token = token, lockDuration = claim.lockDuration, limiter = claim.limiter, name = claim.name
    })})
  if type(answer[1]) ~= "table" then
    limitedFor, nextDelayed = answer[3], answer[4]
    break
  end
  claimed[#claimed + 1] = {answer[2], token, answer[1]}
end

return {now, settled, claimed, limitedFor, nextDelayed}
