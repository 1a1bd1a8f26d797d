--[[
  Give a step of a job the oldest event of a name that no other step has taken.

    KEYS[1]  signals: a list of JSON texts, the oldest first
    KEYS[2]  taken: a hash, from a signal's place to the step that has it

    ARGV[1]  the event's name
    ARGV[2]  the step's key

  Returns the signal's payload (JSON text), or nil. The same step gets the same one again.
]]

local SIGNALS, TAKEN = KEYS[1], KEYS[2]
local event, step = ARGV[1], ARGV[2]

local free
for place, text in ipairs(redis.call("LRANGE", SIGNALS, 0, -1)) do
  local owner = redis.call("HGET", TAKEN, place)
  local signal = cjson.decode(text)
  if owner == step then
    return signal.payload
  end
  if not owner and not free and signal.event == event then
    free = {place = place, payload = signal.payload}
  end
end
if not free then
  return false
end
redis.call("HSET", TAKEN, free.place, step)
local left = redis.call("PTTL", SIGNALS)
if left > 0 then
  redis.call("PEXPIRE", TAKEN, left)
end
return free.payload
