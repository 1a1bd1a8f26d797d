--[[
  Add a tree of jobs, each as BullMQ's own script for its kind adds it: all of it, or nothing.

  BullMQ's scripts for children that exist already have two defects, which are worked around here
  without a change to them: a child whose former parent is gone is not attached, and a child that
  has completed lets its new parent go before the children after it are attached.

    KEYS[1]  key of the job at the root

    ARGV[1]  msgpack list of jobs, parents before their children, each a list:
               kind       'parent' | 'standard' | 'delayed' | 'prioritized'
               base       what every key of its queue begins with, the final ':' included
               id
               parentKey  key of its parent, or ''
               arguments  msgpacked, as the official scripts take them
               data       JSON text
               options    msgpacked, under their short names
               children   what to put into the field 'bullq:children' of a parent, or ''

  Returns {0}; {1} where the root exists already, and nothing was added; or {-1, index, reason}
  where the job number *index*, from 1, stands against it: 'is-parent' (it exists and is to have
  children), 'has-parent' (another job waits for it), 'failed'.
]]
--- @official addStandardJob-9
--- @official addDelayedJob-6
--- @official addPrioritizedJob-9
--- @official addParentJob-6

local KIND, BASE, ID, PARENT, ARGUMENTS, DATA, OPTIONS, CHILDREN = 1, 2, 3, 4, 5, 6, 7, 8

local add = {}

function add.parent(base, arguments)
  return addParentJob({base .. "meta", base .. "id", base .. "delayed",
    base .. "waiting-children", base .. "completed", base .. "events"}, arguments)
end

function add.standard(base, arguments)
  return addStandardJob({base .. "wait", base .. "paused", base .. "meta", base .. "id",
    base .. "completed", base .. "delayed", base .. "active", base .. "events",
    base .. "marker"}, arguments)
end

function add.delayed(base, arguments)
  return addDelayedJob({base .. "marker", base .. "meta", base .. "id", base .. "delayed",
    base .. "completed", base .. "events"}, arguments)
end

function add.prioritized(base, arguments)
  return addPrioritizedJob({base .. "marker", base .. "meta", base .. "id",
    base .. "prioritized", base .. "delayed", base .. "completed", base .. "active",
    base .. "events", base .. "pc"}, arguments)
end

if redis.call("EXISTS", KEYS[1]) == 1 then
  return {1}
end

local jobs = cmsgpack.unpack(ARGV[1])
local orphans = {}
local first, last = {}, {}
for index, job in ipairs(jobs) do
  local key = job[BASE] .. job[ID]
  local order = first
  if redis.call("EXISTS", key) == 1 then
    if job[KIND] == "parent" then
      return {-1, index, "is-parent"}
    end
    local former = redis.call("HGET", key, "parentKey")
    if former and former ~= job[PARENT] and redis.call("EXISTS", former) == 1 then
      return {-1, index, "has-parent"}
    end
    if redis.call("ZSCORE", job[BASE] .. "failed", job[ID]) then
      return {-1, index, "failed"}
    end
    if former then
      orphans[#orphans + 1] = key
    end
    if redis.call("ZSCORE", job[BASE] .. "completed", job[ID]) then
      order = last
    end
  end
  order[#order + 1] = job
end

-- A write of nothing: a server that refuses writes, or is out of memory, refuses the whole call here.
redis.call("SETRANGE", jobs[1][BASE] .. "id", 0, "")

for _, key in ipairs(orphans) do
  redis.call("HDEL", key, "parentKey", "parent")
end
for _, order in ipairs({first, last}) do
  for _, job in ipairs(order) do
    add[job[KIND]](job[BASE], {job[ARGUMENTS], job[DATA], job[OPTIONS]})
    if job[CHILDREN] ~= "" then
      redis.call("HSET", job[BASE] .. job[ID], "bullq:children", job[CHILDREN])
    end
  end
end
return {0}
