--[[
  Tell how a child of a job stands, from what BullMQ has noted at its parent and in its queue.

    KEYS[1] parent: key of the parent's hash
    KEYS[2] child: key of the child's hash
    KEYS[3] base of the child's queue, the final ':' included

    ARGV[1] child's id

  Returns {'completed', result}, {'failed', reason}, {'pending'} or {'absent'}.
]]
local parent, child, base, id = KEYS[1], KEYS[2], KEYS[3], ARGV[1]

local result = redis.call("HGET", parent .. ":processed", child)
if result then
  return {"completed", result}
end
local reason = redis.call("HGET", parent .. ":failed", child)
if reason then
  return {"failed", reason}
end
if redis.call("EXISTS", child) == 0 then
  return {"absent"}
end
-- It ended before its parent was told: as the child of nobody, or of another job.
if redis.call("ZSCORE", base .. "completed", id) then
  return {"completed", redis.call("HGET", child, "returnvalue") or "null"}
end
if redis.call("ZSCORE", base .. "failed", id) then
  return {"failed", redis.call("HGET", child, "failedReason") or "failed"}
end
return {"pending"}
