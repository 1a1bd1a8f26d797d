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
    KEYS[12] base: what every key of the queue begins with, the final ':' included

    ARGV[1]  msgpack list of three:
               now    when jobs are added that do not say it themselves (ms since the epoch)
               kinds  a list of what jobs have in common, each a list: name, JSON text of the
                      options before the id, JSON text after it, when they were made or nil,
                      whether they go to the front, their delay (ms) or nil
               runs   a list of jobs in the order in which they are added, each a list:
                      the number of a kind, and a flat list of ids and data (JSON text)
                    or, for a job that takes the official way,
                      'standard' | 'delayed' | 'prioritized', and a list of
                      its arguments (msgpacked, as the official scripts take them), its data, and
                      its options (msgpacked, under their short names)
             lua/addConfirmed gives it unpacked, and says more:
    ARGV[2]  flat list of fields for every common job, or absent
    ARGV[3]  true where it has seen that no id is taken, or absent

  Returns a flat list of places (from 1) and answers, of those jobs alone whose answer is not
  their id: another job's id with deduplication, a negative number when refused, or an error's
  text after '!'. For the official way every answer is given.
]]
local WAIT, PAUSED, META, ID, COMPLETED, DELAYED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local ACTIVE, EVENTS, MARKER, PRIORITIZED, PC, BASE = KEYS[7], KEYS[8], KEYS[9], KEYS[10], KEYS[11], KEYS[12]

local given = type(ARGV[1]) == "table" and ARGV[1] or cmsgpack.unpack(ARGV[1])
local MORE, NONE_TAKEN = ARGV[2], ARGV[3]
local NOW, kinds, runs = given[1], given[2], given[3]

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

local counted = plainBegin(runs)

-- First a write that changes no job: a server that refuses writes, or is out of memory, refuses the
-- whole call here. Met below, its refusal would be taken for that of one job.
if counted > 0 then
  redis.call("INCRBY", ID, counted)
else
  redis.call("SETRANGE", ID, 0, "")
end

-- The most frequent call has one kind of jobs, and needs nothing of what follows.
if #runs == 1 and kinds[runs[1][1]] then
  plainAdd(kinds[runs[1][1]], runs[1][2], 1)
  plainPush()
  return answers
end

--- @official addStandardJob-9
--- @official addDelayedJob-6
--- @official addPrioritizedJob-9

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
