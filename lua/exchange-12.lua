--[[
  Settle jobs that have ended and claim new ones, in one call and in this order.

  Changes of state are made by BullMQ's own scripts, whose text is read from the installed
  package and wrapped as functions below, so that what is left in Redis is what they leave. The
  common job takes a shorter way (includes/plain*.lua) that leaves the same; it is open only
  where the installed scripts are those it was proven against. Time is the server's.

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

    ARGV[1]  msgpack list of
             1. settlements, each a list of
                  verb    'finish' | 'retry' | 'delay' | 'return' | 'discard'
                  id      job id
                  token   the lock's token
                  fields  msgpacked flat list of fields to set on the job, or false
                and by verb:
                  finish  number of its terms; run (the number that neighbours on the same terms
                          share: its last one trims the finished jobs for all); value
                  retry   push 'LPUSH' | 'RPUSH'
                  delay   delay (ms), skipAttempt '1' | '0'
             2. the terms on which jobs finish, each a map: target 'completed' | 'failed';
                property 'returnvalue' | 'failedReason'; options (keepJobs, attempts, fpof, cpof,
                idof, rdof, as moveToFinished takes them); keep (0: remove the job, -1: keep all,
                absent: trim the finished jobs)
             3. tokens, one per job wanted
             4. true where an earlier call with these tokens went unanswered: what it claimed is
                found by its locks and given again
    ARGV[2]  msgpack map of what holds for all claims of a worker:
               lockDuration  ms
               limiter       {max, duration (ms)}, or absent
               metrics       for how many minutes back finished jobs are counted, or absent
               name          the worker's name
               plain         true where the shorter way is open
               now           ms since the epoch to take for the time, or absent: the server's

  Returns {time in ms,
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

local WAIT, ACTIVE, PRIORITIZED, EVENTS = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local STALLED, LIMITER, DELAYED, PAUSED = KEYS[5], KEYS[6], KEYS[7], KEYS[8]
local META, PC, MARKER, BASE = KEYS[9], KEYS[10], KEYS[11], KEYS[12]

local settlements, finishTerms, wanted, resent = unpack(cmsgpack.unpack(ARGV[1]))
local claim = cmsgpack.unpack(ARGV[2])
local clock = redis.call("TIME")
local now = string.format("%.0f", claim.now or clock[1] * 1000 + math.floor(clock[2] / 1000))

-- A record that no client writes must end its job, and neither the call nor the worker.
local function refused(...)
  local answer = redis.pcall(...)
  return type(answer) == "table" and answer.err
end

local meta = redis.call("HMGET", META, "paused", "concurrency", "max", "opts.maxLenEvents")

--- @include plainFinish
--- @include started
--- @include plainClaim

local settle = {}

function settle.finish(jobKey, id, token, fields, number, _, value)
  local terms = finishTerms[number]
  local options = {token = token, maxMetricsSize = claim.metrics or ""}
  for name, option in pairs(terms.options) do
    options[name] = option
  end
  return moveToFinished(
    {WAIT, ACTIVE, PRIORITIZED, EVENTS, STALLED, LIMITER, DELAYED, PAUSED, META, PC,
      BASE .. terms.target, jobKey, BASE .. "metrics:" .. terms.target, MARKER},
    {id, now, terms.property, value, terms.target, "", BASE, cmsgpack.pack(options), fields or nil})
end

function settle.retry(jobKey, id, token, fields, push)
  return retryJob(
    {ACTIVE, WAIT, PAUSED, jobKey, META, EVENTS, DELAYED, PRIORITIZED, PC, MARKER, STALLED},
    {BASE, now, push, id, token, fields or nil})
end

function settle.delay(jobKey, id, token, fields, delay, skipAttempt)
  return moveToDelayed(
    {MARKER, ACTIVE, PRIORITIZED, DELAYED, jobKey, EVENTS, META, STALLED, WAIT, LIMITER, PC},
    {BASE, now, id, token, delay, skipAttempt, fields or "", "0"})
end

settle["return"] = function(jobKey, id, token)
  return moveJobFromActiveToWait(
    {ACTIVE, WAIT, STALLED, PAUSED, META, LIMITER, PRIORITIZED, MARKER, EVENTS},
    {id, token, jobKey})
end

-- An id without a job: claiming it has made a hash of nothing but the claim's own fields.
function settle.discard(jobKey, id, token)
  if redis.call("GET", jobKey .. ":lock") ~= token then
    return -6
  end
  redis.call("DEL", jobKey, jobKey .. ":lock")
  redis.call("SREM", STALLED, id)
  redis.call("LREM", ACTIVE, -1, id)
  redis.call("XADD", EVENTS, "*", "event", "removed", "jobId", id, "prev", "active")
  return 0
end

-- A write of nothing: a server that refuses writes (a replica, a full disk) refuses the whole call
-- here. Met below, its refusal would be taken for the answer to one settlement.
local probed = false
local function probe()
  if not probed then
    redis.call("DEL", BASE)
  end
  probed = true
end

local function settleOne(verb, id, ...)
  probe()
  local ok, answer = pcall(settle[verb], BASE .. id, id, ...)
  return ok and answer or type(answer) == "table" and answer.err or tostring(answer)
end

local plain = claim.plain and not claim.metrics
local trimmer = plain and lastOfEachRun(settlements)

local settled = {}
local lastWasPlain = false
local index = 1
while index <= #settlements do
  local first = index
  if plain then
    index = plainFinish(settlements, first, trimmer, settled)
  end
  for place = first, index - 1 do
    lastWasPlain = lastWasPlain or settled[place] >= 0
  end
  if index <= #settlements then
    settled[index] = settleOne(unpack(settlements[index]))
    if type(settled[index]) == "number" and settled[index] >= 0 then
      lastWasPlain = false
    end
    index = index + 1
  end
end
-- Until the last of them was settled, the others were active: the queue was not drained before.
if lastWasPlain then
  plainDrained()
end

local claimed = {}

if resent then
  local open, tokens = {}, wanted
  for _, token in ipairs(tokens) do
    open[token] = true
  end
  for _, id in ipairs(redis.call("LRANGE", ACTIVE, 0, -1)) do
    local token = redis.call("GET", BASE .. id .. ":lock")
    if token and open[token] then
      open[token] = nil
      claimed[#claimed + 1] = {id, token, redis.call("HGETALL", BASE .. id)}
    end
  end
  wanted = {}
  for _, token in ipairs(tokens) do
    if open[token] then
      wanted[#wanted + 1] = token
    end
  end
end

local begin = 1
if claim.plain then
  for _, job in ipairs(plainClaim(wanted)) do
    claimed[#claimed + 1] = job
    begin = begin + 1
  end
end

local limitedFor, nextDelayed = 0, 0
for index = begin, #wanted do
  local token = wanted[index]
  local ok, answer = pcall(moveToActive,
    {WAIT, ACTIVE, PRIORITIZED, EVENTS, STALLED, LIMITER, DELAYED, PAUSED, META, PC, MARKER},
    {BASE, now, cmsgpack.pack({
      token = token, lockDuration = claim.lockDuration, limiter = claim.limiter, name = claim.name
    })})
  if not ok then
    local id = redis.call("LINDEX", ACTIVE, 0)
    if not id or redis.call("GET", BASE .. id .. ":lock") ~= token then
      error(answer, 0)
    end
    local broken = refused("HSET", BASE .. id, "ats", 1)
    answer = {broken and {} or redis.call("HGETALL", BASE .. id), id}
  end
  if type(answer[1]) ~= "table" then
    limitedFor, nextDelayed = answer[3], answer[4]
    break
  end
  claimed[#claimed + 1] = {answer[2], token, answer[1]}
  local dispatcher = waitsFor(answer[1])
  if dispatcher then
    hasStarted(dispatcher, answer[2])
  end
end
tellStarted()

return {now, settled, claimed, limitedFor, nextDelayed}
