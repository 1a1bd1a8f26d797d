--[[
  Note that Inngest has accepted the events of routed jobs: they are SENT.

    KEYS[1]  base: what every key of the queue begins with, the final ':' included

    ARGV     job ids

  Returns how many of them waited for that.
]]
local BASE = KEYS[1]

local waited = redis.call("ZREM", BASE .. "bullq:rerouted", unpack(ARGV))
redis.call("HDEL", BASE .. "bullq:parcels", unpack(ARGV))
return waited
