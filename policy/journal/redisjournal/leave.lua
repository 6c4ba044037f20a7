-- Gives back all that the consumer ARGV[1] has, at most 1000, without counting an attempt, and forgets it if that was all. Returns how many there were.
local p = redis.pcall('XPENDING', list, group, '-', '+', 1000, ARGV[1])
if noGroup(p) then
  return 0
elseif p.err then
  p = redis.call('XPENDING', list, group, '-', '+', 1000, ARGV[1])
end
local ids, newHeads = {}, {}
for i, e in ipairs(p) do
  ids[i] = e[1]
end
local n = #ids
if n > 0 then
  for _, e in ipairs(each(ids, 'XCLAIM', list, group, free, '0')) do
    local text = e and e[2][1] == 'k' and redis.call('HGET', heads, e[2][2])
    local h = text and readHead(text)
    if h and h.id == e[1] and h.attempts > 0 then
      h.attempts = h.attempts - 1
      newHeads[#newHeads + 1] = e[2][2]
      newHeads[#newHeads + 1] = writeHead(h)
    end
  end
  each(newHeads, 'HSET', heads)
  redis.call('XADD', list, '*', 'w', '') -- wakes somebody
end
if n < 1000 then
  redis.call('XGROUP', 'DELCONSUMER', list, group, ARGV[1]) -- it has nothing: what a consumer has goes with it
end
return n
