-- Ends what the consumer ARGV[1] still has of the quadruples of id, delivery, key and position that follow: the source has them. Keys with
-- a newer write are listed again; dead letters of older ones are dropped, which would be put over what the source has. Returns how many ended.
local consumer = ARGV[1]
local ids, gone, unheld, newHeads, old = {}, {}, {}, {}, {}
local letters = redis.call('HLEN', dead) > 0

-- Whether the letter at the key is of an earlier write than that at a position.
local function isOlder(key, position)
  local letter = redis.call('HGET', dead, key)
  if not letter then
    return false
  end
  local _, cause, _, at = struct.unpack('>I8I4I4', letter)
  local hi, lo = struct.unpack('>I4I4', letter, at + cause)
  local doneHi, doneLo = struct.unpack('>I4I4', position)
  return hi < doneHi or hi == doneHi and lo < doneLo
end

for i = 2, #ARGV, 4 do
  local id, key, position = ARGV[i], ARGV[i + 2], ARGV[i + 3]
  if owns(consumer, id, ARGV[i + 1]) then
    ids[#ids + 1] = id
    local text, hold = redis.call('HGET', heads, key), redis.call('HGET', held, key)
    if hold and readHeld(hold) == id then
      unheld[#unheld + 1] = key
    else
      hold = false
    end
    if letters and not hold and isOlder(key, position) then
      old[#old + 1] = key
    end
    local h = text and readHead(text)
    if h and h.id == id then
      -- What is there although the write that was taken was buried is another one, also with the same position: it was retried.
      if not hold and string.sub(text, 1, 8) == position then
        gone[#gone + 1] = key
      else
        if not hold then
          h.merged, h.attempts = math.max(h.merged - h.drop, 0), 0
        end
        h.drop = 0
        h.id = enlist(key)
        newHeads[#newHeads + 1] = key
        newHeads[#newHeads + 1] = writeHead(h)
      end
    end
  end
end
each(newHeads, 'HSET', heads)
each(gone, 'HDEL', heads)
each(gone, 'HDEL', bodies)
each(unheld, 'HDEL', held)
each(old, 'HDEL', dead)
each(ids, 'XACK', list, group)
each(ids, 'XDEL', list)
return #ids
