-- Keeps for the consumer ARGV[1] what it still has of the pairs of id and delivery that follow.
local ids = {}
for i = 2, #ARGV, 2 do
  if owns(ARGV[1], ARGV[i], ARGV[i + 1]) then
    ids[#ids + 1] = ARGV[i]
  end
end
local n = #ids
if n > 0 then
  ids[n + 1] = 'JUSTID' -- counts no delivery
  each(ids, 'XCLAIM', list, group, ARGV[1], '0')
end
return n
