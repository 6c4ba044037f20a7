-- Makes dead letters of what the consumer ARGV[1] still has of the quintuples of id, delivery, key, position and cause that follow, and that is
-- still the newest of its key. A letter is when, in milliseconds; the cause and the head with their lengths; the body.
local ms = math.floor(clock() / 1000)
local letters, holds, gone = {}, {}, {}
for i = 2, #ARGV, 5 do
  local id, key, position, cause = ARGV[i], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  if owns(ARGV[1], id, ARGV[i + 1]) then
    local head, body = redis.call('HGET', heads, key), redis.call('HGET', bodies, key)
    if head and body and string.sub(head, 1, 8) == position and readHead(head).id == id and redis.call('HEXISTS', held, key) == 0 then
      letters[#letters + 1] = key
      letters[#letters + 1] = struct.pack('>I8I4I4', ms, #cause, #head) .. cause .. head .. body
      holds[#holds + 1] = key
      -- id, flags, the length of the source's key and that
      holds[#holds + 1] = id .. '\n' .. string.sub(body, 1, 21 + struct.unpack('>I4', body, 18))
      gone[#gone + 1] = key
    end
  end
end
each(letters, 'HSET', dead)
each(holds, 'HSET', held)
each(gone, 'HDEL', heads)
each(gone, 'HDEL', bodies)
return #gone
