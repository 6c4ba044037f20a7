-- Accepts writes: ARGV[1] is the bound; then for each its deadline by this server's clock, its key, and its body. Returns the
-- clock and eight bytes for each: its position, or 0 for a full queue, or 1 for a deadline that has passed.
--
-- What makes writes accepted is done last. Whatever fails before, nothing is.
local now = clock()
local ms = math.floor(now / 1000)
local last = redis.call('HGET', meta, 'last')
local hi, lo = 0, 0
if last then
  hi, lo = struct.unpack('>I4I4', last)
end
local nowHi, nowLo = math.floor(ms / 4096), (ms % 4096) * 1048576

local keys = {}
for i = 2, #ARGV, 3 do
  keys[#keys + 1] = ARGV[i + 1]
end
local found = redis.call('HMGET', heads, unpack(keys))
local depth, bound = redis.call('HLEN', heads), tonumber(ARGV[1])
local holding = redis.call('HLEN', held) > 0
local reply, current, newHeads, newBodies, merged = {struct.pack('>I8', now)}, {}, {}, {}, 0

for n, key in ipairs(keys) do
  local deadline, body = tonumber(ARGV[3 * n - 1]), ARGV[3 * n + 1]
  local h = current[key] or found[n] and readHead(found[n])
  if now >= deadline then
    reply[n + 1] = struct.pack('>I4I4', 0, 1)
  elseif not h and depth >= bound then
    reply[n + 1] = struct.pack('>I4I4', 0, 0)
  else
    lo = lo + 1
    if lo == 4294967296 then
      hi, lo = hi + 1, 0
    end
    if nowHi > hi or nowHi == hi and nowLo > lo then
      hi, lo = nowHi, nowLo
    end
    if h then
      h.merged = h.merged + 1
      merged = merged + 1
    else
      h = {merged = 0, attempts = 0, drop = 0}
      local hold = holding and redis.call('HGET', held, key)
      h.id = hold and readHeld(hold)
      if hold then
        h.merged = 1 -- the write that was buried: the source did not have it
        if deliveryOf(free, h.id) then -- nobody has the key any more, and it waits from now on
          redis.call('XACK', list, group, h.id)
          redis.call('XDEL', list, h.id)
          redis.call('HDEL', held, key)
          h.id = nil
        end
      end
      h.id = h.id or enlist(key)
      depth = depth + 1
    end
    h.hi, h.lo, h.accepted, h.size = hi, lo, ms, #body
    current[key] = h
    newHeads[#newHeads + 1] = key
    newHeads[#newHeads + 1] = writeHead(h)
    newBodies[#newBodies + 1] = key
    newBodies[#newBodies + 1] = body
    reply[n + 1] = struct.pack('>I4I4', hi, lo)
  end
end

if #newHeads > 0 then
  redis.call('HSET', meta, 'last', struct.pack('>I4I4', hi, lo))
  if merged > 0 then
    redis.call('HINCRBY', meta, 'merged', merged)
  end
  each(newBodies, 'HSET', bodies)
  each(newHeads, 'HSET', heads)
end
return table.concat(reply)
