-- Takes up to ARGV[2] listed keys for the consumer ARGV[1]: those that were given back; if ARGV[3] is a time in milliseconds, those that
-- nobody has kept for so long, looked for from ARGV[4] on; then new ones. Their bodies have at most about ARGV[5] bytes.
-- Returns where to look on ('0-0': all were looked at), whether the group had to be made, and of each taken: id, delivery, key, head, body. The head is empty for what remains of a key that has no pending write.
local consumer, most, idle, from, room = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], tonumber(ARGV[5])
local taken, deliveries, made = {}, {}, 0

local function take(entries)
  for _, e in ipairs(entries) do
    if e then -- it is listed still
      if e[2][1] == 'k' then
        taken[#taken + 1] = {id = e[1], key = e[2][2]}
      else -- it wakes, and is nothing
        redis.call('XACK', list, group, e[1])
        redis.call('XDEL', list, e[1])
      end
    end
  end
end

local given = redis.pcall('XPENDING', list, group, '-', '+', most, free)
if noGroup(given) then
  redis.call('XGROUP', 'CREATE', list, group, '0', 'MKSTREAM')
  given, made = {}, 1
elseif given.err then
  given = redis.call('XPENDING', list, group, '-', '+', most, free)
end
if #given > 0 then
  local ids = {}
  for i, p in ipairs(given) do
    ids[i] = p[1]
    deliveries[p[1]] = p[4] + 1
  end
  take(each(ids, 'XCLAIM', list, group, consumer, '0'))
end
if idle ~= '' and #taken < most then
  local claimed = redis.call('XAUTOCLAIM', list, group, consumer, idle, from, 'COUNT', most - #taken)
  from = claimed[1]
  for _, e in ipairs(claimed[2]) do
    if e then
      deliveries[e[1]] = redis.call('XPENDING', list, group, e[1], e[1], 1)[1][4]
    end
  end
  take(claimed[2])
end
if #taken < most then
  local new = redis.call('XREADGROUP', 'GROUP', group, consumer, 'COUNT', most - #taken, 'STREAMS', list, '>')
  if new then
    take(new[1][2])
  end
end

if #taken == 0 then
  return {from, made}
end

local keys = {}
for i, t in ipairs(taken) do
  keys[i] = t.key
end
local found = redis.call('HMGET', heads, unpack(keys))
local holding = redis.call('HLEN', held) > 0
local reply, back, newHeads, unheld = {from, made}, {}, {}, {}
for i, t in ipairs(taken) do
  local h = found[i] and readHead(found[i])
  local body = h and ''
  local hold = holding and redis.call('HGET', held, t.key)
  local heldId, stub
  if hold then
    heldId, stub = readHeld(hold)
  end
  local listedAt = h and h.id or heldId
  if listedAt and listedAt ~= t.id then -- listed elsewhere
    redis.call('XACK', list, group, t.id)
    redis.call('XDEL', list, t.id)
  elseif #back > 0 or h and #reply > 2 and h.size > room then
    back[#back + 1] = t.id
  else
    if h then
      body = redis.call('HGET', bodies, t.key)
      if not body then -- half of it was lost
        redis.call('HDEL', heads, t.key)
        h = nil
      end
    end
    local head = ''
    if h then
      room = room - h.size
      h.attempts = h.attempts + 1
      h.drop = h.merged + 1
      head = writeHead(h)
      newHeads[#newHeads + 1] = t.key
      newHeads[#newHeads + 1] = head
      if hold then
        unheld[#unheld + 1] = t.key
      end
    else
      body = stub or ''
      if not hold then
        redis.call('HSET', held, t.key, t.id .. '\n')
      end
    end
    for _, part in ipairs({t.id, deliveries[t.id] or 1, t.key, head, body}) do
      reply[#reply + 1] = part
    end
  end
end
each(newHeads, 'HSET', heads)
each(unheld, 'HDEL', held)
if #back > 0 then
  table.insert(back, 'JUSTID')
  each(back, 'XCLAIM', list, group, free, '0')
end
return reply
