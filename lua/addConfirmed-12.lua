--[[
  Add jobs whose pickup is to be confirmed, as lua/addJobs adds them, and note in the same step by
  when they have to be begun and whom to tell of it.

  Adding an id again is harmless, also when its job has ended and its record is gone, or when it
  was routed to another engine meanwhile. Whoever adds nothing learns the epoch.

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

    ARGV[1]  as of lua/addJobs
    ARGV[2]  dispatcher: whom to tell when the jobs begin; only its own jobs are its own
    ARGV[3]  ms from now, or from when a job is due, within which it has to begin
    ARGV[4]  'alive' | 'started': whether live workers excuse it
    ARGV[5]  the queue's epoch as the dispatcher knows it, or empty
    ARGV[6]  the epoch to set where the queue has none
    ARGV[7]  what is rare, a msgpack map, or empty:
               ids      of all jobs, where one of them takes the official way, else absent
               delayed  places (from 1) of those that begin later, or absent
               seen     list of ids whose fate the dispatcher knows for good, or absent
               keep     ms after which nobody asks any more what became of a job, or absent: what
                        is older is not looked for

  Returns {epoch, false} where data was lost since the dispatcher learnt its epoch: nothing was
  added. Else {epoch, a flat list of place (from 1), word and detail for those jobs alone that were
  not simply added}. The words:
    again    the job is on the queue, or was: this dispatcher has added it before
    routed   it went to another engine meanwhile
    taken    the id stands for another job: the detail is the id of that one
    refused  the detail is a negative number, or an error's text after '!'
]]
local DELAYED, BASE = KEYS[6], KEYS[12]
local DISPATCHER, TIMEOUT, PICKUP, EXPECTED, FRESH = ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local rare = ARGV[7] == "" and {} or cmsgpack.unpack(ARGV[7])

--- @include standing

local epoch = redis.call("GET", EPOCH)
if not epoch then
  epoch = FRESH
  redis.call("SET", EPOCH, epoch)
end
if EXPECTED ~= "" and EXPECTED ~= epoch then
  return {epoch, false}
end
if rare.seen then
  redis.call("ZREM", PICKUPS, unpack(rare.seen))
end

--- @script addJobs-12

local FIELDS = {"bullq:dispatcher", DISPATCHER, "bullq:timeout", TIMEOUT, "bullq:pickup", PICKUP}
local now = milliseconds()
local given, at = cmsgpack.unpack(ARGV[1]), whole(now + TIMEOUT)

local function idsOf(runs)
  local ids = {}
  for _, run in ipairs(runs) do
    for place = 1, #run[2], 2 do
      ids[#ids + 1] = run[2][place]
    end
  end
  return ids
end

local ids = rare.ids or idsOf(given[3])
if #ids == 0 then
  return {epoch, {}}
end
local keys, pickups, words = {}, {}, {}
for place, id in ipairs(ids) do
  keys[place] = BASE .. id
  pickups[2 * place - 1], pickups[2 * place] = at, id
end

-- The places of those whose fields BullMQ's own scripts do not write.
local function placesOfOfficial(runs)
  local places, place = {}, 0
  for _, run in ipairs(runs) do
    local plain = type(run[1]) == "number"
    place = place + (plain and #run[2] / 2 or 1)
    if not plain then
      places[place] = true
    end
  end
  return places
end

local official = rare.ids and placesOfOfficial(given[3]) or {}

-- Where no sweeper runs, overdue jobs stay on the index until they are as old.
if rare.keep then
  forget(now - rare.keep)
  redis.call("ZREMRANGEBYSCORE", PICKUPS, "(0", "(" .. whole(now - rare.keep))
end

local function areNew()
  if redis.call("EXISTS", unpack(keys)) > 0 then
    return false
  end
  local here, pickup = {}, redis.call("ZMSCORE", PICKUPS, unpack(ids))
  for place, id in ipairs(ids) do
    if pickup[place] or here[id] then
      return false
    end
    here[id] = true
  end
  return true
end

-- What is known of an id already decides: its job is there, or was, or went elsewhere.
local function known(place, id)
  local job = redis.call("HMGET", keys[place], "name", "bullq:dispatcher", "bullq:routed")
  if job[3] or redis.call("ZSCORE", ROUTED, id) then
    return {"routed", id}
  elseif job[1] and job[2] ~= DISPATCHER then
    return {"taken", id}
  elseif job[1] or redis.call("ZSCORE", PICKUPS, id) then
    return {"again", id}
  end
end

local function lookAtEach()
  local here = {}
  pickups = {}
  for place, id in ipairs(ids) do
    words[place] = here[id] and {"again", id} or known(place, id)
    here[id] = true
    if not words[place] then
      pickups[#pickups + 1], pickups[#pickups + 2] = at, id
    end
  end
end

-- Leaves out the jobs of which something is known, and gives the places of the others.
local function withoutKnown()
  local kept, runs, place = {}, {}, 0
  for _, run in ipairs(given[3]) do
    local jobs = {}
    local plain = type(run[1]) == "number"
    for number = 1, plain and #run[2] or 1, plain and 2 or 1 do
      place = place + 1
      if not words[place] then
        kept[#kept + 1] = place
        jobs[#jobs + 1], jobs[#jobs + 2] = run[2][number], run[2][number + 1]
      end
    end
    if #jobs > 0 then
      runs[#runs + 1] = {run[1], plain and jobs or run[2]}
    end
  end
  given[3] = runs
  return kept
end

-- Jobs that are not added must leave no pickup behind: it would say that they were.
local function add(noneTaken)
  if #pickups == 0 then
    return {}
  end
  redis.call("ZADD", PICKUPS, unpack(pickups))
  local ok, answers = pcall(addJobs,
    {KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], DELAYED, KEYS[7], KEYS[8], KEYS[9], KEYS[10],
      KEYS[11], BASE},
    {given, FIELDS, noneTaken})
  if not ok then
    for place = 2, #pickups, 2 do
      redis.call("ZREM", PICKUPS, pickups[place])
    end
    error(answers, 0)
  end
  return answers
end

-- The usual call has new ids alone.
local answers, kept
if areNew() then
  answers = add(true)
else
  lookAtEach()
  kept = withoutKnown()
  answers = add(false)
end

for index = 1, #answers, 2 do
  local place, answer = kept and kept[answers[index]] or answers[index], answers[index + 1]
  if type(answer) == "number" or string.sub(answer, 1, 1) == "!" then
    words[place] = {"refused", answer}
  elseif answer ~= ids[place] then
    words[place] = {"taken", answer}
  end
  if words[place] then
    redis.call("ZREM", PICKUPS, ids[place])
  end
end

local told = {}
for place, id in ipairs(ids) do
  local word = words[place]
  if word then
    local length = #told
    told[length + 1], told[length + 2], told[length + 3] = place, word[1], word[2]
  elseif official[place] then
    redis.call("HSET", keys[place], unpack(FIELDS))
  end
end
for _, place in ipairs(rare.delayed or {}) do
  local score = not words[place] and redis.call("ZSCORE", DELAYED, ids[place])
  if score then
    redis.call("ZADD", PICKUPS, whole(math.floor(score / 4096) + TIMEOUT), ids[place])
  end
end
return {epoch, told}
