-- Health of every kind of reconciler.dev for Argo CD, by the rules of kstatus:
-- a status that speaks of an older spec is not an answer yet, Stalled is a
-- matter for people, Ready says the rest.
local health = { status = "Progressing", message = "not reconciled yet" }

if obj.metadata.deletionTimestamp ~= nil then
  health.message = "being deleted"
  return health
end

local status = obj.status
if status == nil or status.conditions == nil then
  return health
end
if status.observedGeneration ~= obj.metadata.generation then
  return health
end

local found = {}
for _, condition in ipairs(status.conditions) do
  found[condition.type] = condition
end

local ready = found["Ready"]
local stalled = found["Stalled"]
if obj.spec ~= nil and obj.spec.suspend then
  health.status = "Suspended"
  health.message = "spec.suspend is set"
elseif stalled ~= nil and stalled.status == "True" then
  health.status = "Degraded"
  health.message = stalled.message
elseif ready ~= nil and ready.status == "True" then
  health.status = "Healthy"
  health.message = ready.message
elseif ready ~= nil then
  health.message = ready.message
end
return health
