--[[
  Route jobs whose pickup is overdue, and find those whose events still have to be sent.

  One sweeper at a time: whoever holds the lease. A job that may go on waiting gets another of its
  pickup times: while its queue is paused, until it is due where it is delayed, and while workers
  are alive unless it was promised to be started in time.

    KEYS[1]  base: what every key of the queue begins with, the final ':' included

    ARGV[1]  msgpack map:
               holder  who sweeps
               lease   ms for which nobody else does
               limit   how many jobs one call looks at
               alive   true where workers of the queue are alive
               grace   ms for which the event of a routed job is left to whoever routed it
               keep    ms for which is known what became of jobs whose records are gone

  Returns {time in ms, 0 where somebody else has the lease,
           jobs to send, each {id, 1 where this call routed it, what its event needs (see parcel)},
           overdue jobs that were looked at, overdue jobs that are left, routed jobs not yet sent}
]]
local BASE = KEYS[1]
local terms = cmsgpack.unpack(ARGV[1])

--- @include standing
--- @official removeJob-2
--- @include route

local LEASE = BASE .. "bullq:sweeper"
local now = milliseconds()
local holder = redis.call("GET", LEASE)
if holder and holder ~= terms.holder then
  return {whole(now), 0, {}, 0, 0, 0}
end
redis.call("SET", LEASE, terms.holder, "PX", terms.lease)

forget(now - terms.keep)

local paused = redis.call("HEXISTS", BASE .. "meta", "paused") == 1

-- When to look at the job again, or nil where it has waited long enough.
local function later(id, state)
  local pickup = redis.call("HMGET", BASE .. id, "bullq:pickup", "bullq:timeout")
  local timeout = tonumber(pickup[2] or 0)
  if state == "delayed" then
    local due = math.floor(redis.call("ZSCORE", BASE .. "delayed", id) / 4096)
    if due + timeout > now then
      return due + timeout
    end
  end
  if paused or terms.alive and pickup[1] ~= "started" then
    return now + math.max(timeout, 1000)
  end
end

local function expire(id)
  local state = standing(id, true)
  if state ~= "waiting" and state ~= "delayed" then
    decide(id, now)
    return false
  end
  local at = later(id, state)
  if at then
    redis.call("ZADD", PICKUPS, whole(at), id)
    return false
  end
  route(id, state, now)
  return true
end

local send = {}
local unsent = redis.call("ZRANGEBYSCORE", REROUTED, 0, whole(now - terms.grace), "LIMIT", 0, terms.limit)
for _, id in ipairs(unsent) do
  send[#send + 1] = {id, 0, parcel(id)}
end
local overdue = redis.call("ZRANGEBYSCORE", PICKUPS, 0, whole(now), "LIMIT", 0, terms.limit - #unsent)
for _, id in ipairs(overdue) do
  local ok, routed = pcall(expire, id)
  if not ok then
    redis.call("ZADD", PICKUPS, whole(now + 60000), id) -- a record that no client writes
  elseif routed then
    send[#send + 1] = {id, 1, parcel(id)}
  end
end
return {whole(now), 1, send, #overdue,
  redis.call("ZCOUNT", PICKUPS, 0, whole(now)), redis.call("ZCARD", REROUTED)}
