--[[
  Decide, once and for all, which engine runs jobs: what no worker has begun goes to Inngest.

  A job is ROUTED only where it was never begun and is really in wait, prioritized or delayed
  (or, of version 5, paused), or where it never came. Asking again gives the same answer.

    KEYS[1]  base: what every key of the queue begins with, the final ':' included

    ARGV[1]  msgpack list of jobs, each a list of
               id
               known      true where the job was on the queue for certain
               name       )
               data       ) of the job, should it be absent: JSON texts
               options    )
               timestamp  when it was made, ms since the epoch
    ARGV[2]  the queue's epoch as the caller knows it, or empty: with another one data was lost,
             and what became of an absent job cannot be known

  Returns {time in ms, epoch or empty, one list per job}, each of these lists
           {'picked' | 'gone' | 'lost' | 'parent' | 'schedule' | 'nowhere'} or
           {'routed', 1 where this call did it, what its event needs (see parcel), nothing once
            the event was accepted} or
           {'!' and an error's text}
]]
local BASE = KEYS[1]
local jobs, expected = cmsgpack.unpack(ARGV[1]), ARGV[2]

--- @include standing
--- @official removeJob-2
--- @include route

local now = milliseconds()
local epoch = redis.call("GET", EPOCH) or ""
local lost = expected ~= "" and epoch ~= expected

local PREV = {waiting = "waiting", delayed = "delayed"}

local function settle(id, known, ...)
  local state = standing(id, known)
  if state == "routed" then
    return {"routed", 0, parcel(id)}
  elseif lost and (state == "absent" or state == "gone") then
    return {"lost"}
  elseif state == "absent" and redis.call("LPOS", BASE .. "active", id) then
    decide(id, now)
    return {"picked"}
  elseif state == "absent" then
    bury(id, {...}, now)
    return {"routed", 1, parcel(id)}
  elseif PREV[state] then
    route(id, PREV[state], now)
    return {"routed", 1, parcel(id)}
  elseif state == "picked" or state == "gone" then
    decide(id, now)
  end
  return {state}
end

-- A write of nothing: a server that refuses writes refuses the whole call here.
redis.call("DEL", BASE)

local answers = {}
for place, job in ipairs(jobs) do
  local ok, answer = pcall(settle, unpack(job))
  if not ok then
    answer = {"!" .. (type(answer) == "table" and answer.err or tostring(answer))}
  end
  answers[place] = answer
end
return {whole(now), epoch, answers}
