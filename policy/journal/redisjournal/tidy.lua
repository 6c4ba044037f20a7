-- Looks at the entries from ARGV[1] on, some hundreds of them, and lists again those that are not listed, or that nobody is given because the
-- group lost them. At the end it drops what is held for nobody, and consumers that have nothing and were not heard of for ARGV[2]
-- milliseconds. Returns where to look on, and how many were listed again.
local groups, delivered = redis.pcall('XINFO', 'GROUPS', list), nil
if groups.err then
  if not string.find(groups.err, 'no such key', 1, true) then
    groups = redis.call('XINFO', 'GROUPS', list)
  end
  groups = {}
end
local function field(fields, name)
  for i = 1, #fields, 2 do
    if fields[i] == name then
      return fields[i + 1]
    end
  end
end
for _, g in ipairs(groups) do
  if field(g, 'name') == group then
    delivered = field(g, 'last-delivered-id')
  end
end
local function halves(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(seq)
end
local function wasDelivered(id)
  local ms, seq = halves(id)
  local lastMs, lastSeq = halves(delivered)
  return ms < lastMs or ms == lastMs and seq <= lastSeq
end
local function listed(id)
  if not halves(id) then
    return false
  end
  if #redis.call('XRANGE', list, id, id) == 0 then
    return false
  end
  if delivered and wasDelivered(id) and #redis.call('XPENDING', list, group, id, id, 1) == 0 then
    redis.call('XDEL', list, id)
    return false
  end
  return true
end

local n, newHeads = 0, {}
local page = redis.call('HSCAN', heads, ARGV[1], 'COUNT', 500)
for i = 1, #page[2], 2 do
  local key, h = page[2][i], readHead(page[2][i + 1])
  if not listed(h.id) then
    h.id = enlist(key)
    newHeads[#newHeads + 1] = key
    newHeads[#newHeads + 1] = writeHead(h)
    n = n + 1
  end
end
each(newHeads, 'HSET', heads)
if page[1] ~= '0' then
  return {page[1], n}
end

local holds = redis.call('HSCAN', held, '0', 'COUNT', 1000)[2]
for i = 1, #holds, 2 do
  if not listed((readHeld(holds[i + 1]))) then
    redis.call('HDEL', held, holds[i])
  end
end
if delivered then
  for _, c in ipairs(redis.call('XINFO', 'CONSUMERS', list, group)) do
    if field(c, 'pending') == 0 and field(c, 'idle') > tonumber(ARGV[2]) and field(c, 'name') ~= free then
      redis.call('XGROUP', 'DELCONSUMER', list, group, field(c, 'name'))
    end
  end
end
return {'0', n}
