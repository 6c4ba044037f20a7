-- Gives back what the consumer ARGV[1] still has of the triples of id, delivery and key that follow, as if it had not been taken: it is
-- the next that anybody takes.
local ids, newHeads = {}, {}
for i = 2, #ARGV, 3 do
  local id, key = ARGV[i], ARGV[i + 2]
  if owns(ARGV[1], id, ARGV[i + 1]) then
    ids[#ids + 1] = id
    local text = redis.call('HGET', heads, key)
    local h = text and readHead(text)
    if h and h.id == id and h.attempts > 0 then
      h.attempts = h.attempts - 1
      newHeads[#newHeads + 1] = key
      newHeads[#newHeads + 1] = writeHead(h)
    end
  end
end
local n = #ids
if n > 0 then
  each(newHeads, 'HSET', heads)
  each(ids, 'XCLAIM', list, group, free, '0')
  redis.call('XADD', list, '*', 'w', '') -- wakes somebody
end
return n
