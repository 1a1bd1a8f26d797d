--[[
  Tell dispatchers which of their jobs have begun: they wait for that, and nobody else may run
  these jobs from now on.

    hasStarted(dispatcher, id) notes a job that has begun; *dispatcher* is its field of that name.
    waitsFor(fields) gives that field from HGETALL, or nil where the job had begun before.
    tellStarted() notes on the queue's pickups that the jobs have begun, and tells each dispatcher
    of its own in one message, '<queue>\0<id>\0<id>...': to be called at the end.
]]
local startedIds, startedOf = {}, {}

local function hasStarted(dispatcher, id)
  local ids = startedOf[dispatcher]
  if not ids then
    ids = {}
    startedOf[dispatcher] = ids
  end
  startedIds[#startedIds + 1] = id
  ids[#ids + 1] = id
end

local function waitsFor(fields)
  local dispatcher
  for place = 1, #fields, 2 do
    if fields[place] == "bullq:dispatcher" then
      dispatcher = fields[place + 1]
    elseif fields[place] == "ats" and fields[place + 1] ~= "1" then
      return nil
    end
  end
  return dispatcher
end

local function tellStarted()
  if #startedIds == 0 then
    return
  end
  local scores = {}
  for place, id in ipairs(startedIds) do
    scores[2 * place - 1], scores[2 * place] = "-" .. now, id
  end
  -- The jobs are claimed: whatever is wrong here must not keep them from their worker.
  redis.pcall("ZADD", BASE .. "bullq:pickups", "XX", unpack(scores))
  local prefix, queue = string.match(BASE, "^(.*):([^:]*):$")
  for dispatcher, ids in pairs(startedOf) do
    redis.pcall("PUBLISH", prefix .. ":bullq:started:" .. dispatcher,
      queue .. "\0" .. table.concat(ids, "\0"))
  end
end
