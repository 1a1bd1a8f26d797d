--[[
  Add jobs, each as BullMQ's own script for its kind adds it, in one call.

    KEYS[1]  wait
    KEYS[2]  paused
    KEYS[3]  meta
    KEYS[4]  id
    KEYS[5]  completed
    KEYS[6]  delayed
    KEYS[7]  active
    KEYS[8]  events
    KEYS[9]  marker
    KEYS[10] prioritized
    KEYS[11] pc

    ARGV[1]  msgpack list of jobs, each a list:
               kind       'standard' | 'delayed' | 'prioritized'
               arguments  msgpacked, as the official scripts take them
               data       JSON text
               options    msgpacked, under their short names

  Returns one answer per job: its id (with deduplication another job's), a negative number when
  refused, or an error's text after '!'.
]]
--- @official addStandardJob-9
--- @official addDelayedJob-6
--- @official addPrioritizedJob-9

local WAIT, PAUSED, META, ID, COMPLETED, DELAYED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local ACTIVE, EVENTS, MARKER, PRIORITIZED, PC = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]

local add = {}

function add.standard(arguments)
  return addStandardJob(
    {WAIT, PAUSED, META, ID, COMPLETED, DELAYED, ACTIVE, EVENTS, MARKER}, arguments)
end

function add.delayed(arguments)
  return addDelayedJob({MARKER, META, ID, DELAYED, COMPLETED, EVENTS}, arguments)
end

function add.prioritized(arguments)
  return addPrioritizedJob(
    {MARKER, META, ID, PRIORITIZED, DELAYED, COMPLETED, ACTIVE, EVENTS, PC}, arguments)
end

-- A write of nothing: a server that refuses writes, or is out of memory, refuses the whole call here.
-- Met below, its refusal would be taken for that of one job.
redis.call("SETRANGE", ID, 0, "")

local answers = {}
for index, job in ipairs(cmsgpack.unpack(ARGV[1])) do
  local ok, answer = pcall(add[job[1]], {job[2], job[3], job[4]})
  if not ok then
    answer = "!" .. (type(answer) == "table" and answer.err or tostring(answer))
  end
  answers[index] = answer
end
return answers
