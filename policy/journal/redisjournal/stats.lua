-- Returns how many keys have a pending write, how many are taken, when the oldest of those that are listed first was accepted, in milliseconds,
-- and how many dead letters and merged writes there are.
local taken = 0
local p = redis.pcall('XPENDING', list, group)
if p.err and not noGroup(p) then
  p = redis.call('XPENDING', list, group)
end
if not p.err then
  taken = p[1]
  local holds = redis.call('HGETALL', held)
  for i = 1, #holds, 2 do
    local id = readHeld(holds[i + 1])
    if redis.call('HEXISTS', heads, holds[i]) == 0 and not deliveryOf(free, id) then
      taken = taken - 1
    end
  end
  for _, c in ipairs(p[4] or {}) do
    if c[1] == free then
      taken = taken - tonumber(c[2])
    end
  end
end
local oldest = 0
local keys = {}
for _, e in ipairs(redis.call('XRANGE', list, '-', '+', 'COUNT', 100)) do
  if e[2][1] == 'k' then
    keys[#keys + 1] = e[2][2]
  end
end
for _, text in ipairs(each(keys, 'HMGET', heads) or {}) do
  if text then
    local accepted = readHead(text).accepted
    if oldest == 0 or accepted < oldest then
      oldest = accepted
    end
  end
end
local depth = redis.call('HLEN', heads)
return {depth, math.min(depth, math.max(taken, 0)), oldest, redis.call('HLEN', dead), tonumber(redis.call('HGET', meta, 'merged') or '0')}
