-- Makes the dead letters of the keys ARGV[1…] pending again, as they were accepted, and returns how many. Those of keys that have a pending
-- write are dropped.
local n, newHeads, newBodies, gone = 0, {}, {}, {}
for _, key in ipairs(ARGV) do
  local letter = redis.call('HGET', dead, key)
  if letter then
    gone[#gone + 1] = key
    if redis.call('HEXISTS', heads, key) == 0 then
      local _, cause, length, at = struct.unpack('>I8I4I4', letter)
      local h = readHead(string.sub(letter, at + cause, at + cause + length - 1))
      local body = string.sub(letter, at + cause + length)
      local hold = redis.call('HGET', held, key)
      h.id = hold and readHeld(hold) or enlist(key)
      h.attempts, h.drop = 0, 0
      newHeads[#newHeads + 1] = key
      newHeads[#newHeads + 1] = writeHead(h)
      newBodies[#newBodies + 1] = key
      newBodies[#newBodies + 1] = body
      n = n + 1
    end
  end
end
each(newBodies, 'HSET', bodies)
each(newHeads, 'HSET', heads)
each(gone, 'HDEL', dead)
return n
