--[[
  Add jobs in one call, each as BullMQ's own script for its kind adds it.

  Those scripts are read from the installed package and wrapped as functions below, so that what
  is left in Redis is what they leave. The common job takes a shorter way (includes/plainAdd.lua)
  that leaves the same; it is asked for only where the installed scripts are those it was proven
  against.

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

    ARGV[1]  base: what every key of the queue begins with, the final ':' included
    ARGV[2]  ms since the epoch: when jobs are added that do not say it themselves
    ARGV[3]  msgpack list of kinds, each a list of what its jobs share:
               name, JSON text of the options before the id, JSON text after it,
               when they were made (ms since the epoch) or nil, whether they go to the front
    ARGV[4]  msgpack list of runs of jobs, in the order in which they are added, each a list:
               the number of a kind, and a flat list of ids and data (JSON text)
             or, for a job that takes the official way,
               'standard' | 'delayed' | 'prioritized', and a list of
               its arguments (msgpacked, as the official scripts take them), its data, and its
               options (msgpacked, under their short names)

  Returns a flat list of places (from 1) and answers, of those jobs alone whose answer is not
  their id: another job's id with deduplication, a negative number when refused, or an error's
  text after '!'. For the official way every answer is given.
]]
--- @official addStandardJob-9
--- @official addDelayedJob-6
--- @official addPrioritizedJob-9

local WAIT, PAUSED, META, ID, COMPLETED, DELAYED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local ACTIVE, EVENTS, MARKER, PRIORITIZED, PC = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11]
local BASE, NOW = ARGV[1], ARGV[2]

local answers = {}

local function tell(place, id, ok, answer)
  if not ok then
    answer = "!" .. (type(answer) == "table" and answer.err or tostring(answer))
  end
  if answer ~= id then
    answers[#answers + 1] = place
    answers[#answers + 1] = answer
  end
end

--- @include plainAdd

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

local kinds = cmsgpack.unpack(ARGV[3])
local runs = cmsgpack.unpack(ARGV[4])
local counted = plainBegin(runs)

-- First a write that changes no job: a server that refuses writes, or is out of memory, refuses the
-- whole call here. Met below, its refusal would be taken for that of one job.
if counted > 0 then
  redis.call("INCRBY", ID, counted)
else
  redis.call("SETRANGE", ID, 0, "")
end

local place = 1
for _, run in ipairs(runs) do
  local how, jobs = run[1], run[2]
  if kinds[how] then
    plainAdd(kinds[how], jobs, place)
    place = place + #jobs / 2
  else
    plainPush()
    tell(place, nil, pcall(add[how], jobs))
    place = place + 1
  end
end
plainPush()
return answers
