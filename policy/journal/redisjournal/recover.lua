-- Gives back what the consumer ARGV[1] has of which it knows nothing, as an answer was lost: all but the ids that follow. Returns how many.
local known = {}
for i = 2, #ARGV do
  known[ARGV[i]] = true
end
local p = redis.pcall('XPENDING', list, group, '-', '+', 10000, ARGV[1])
if noGroup(p) then
  return 0
elseif p.err then
  p = redis.call('XPENDING', list, group, '-', '+', 10000, ARGV[1])
end
local ids = {}
for _, e in ipairs(p) do
  if not known[e[1]] and #ids < 1000 then
    ids[#ids + 1] = e[1]
  end
end
each(ids, 'XCLAIM', list, group, free, '0')
return #ids
