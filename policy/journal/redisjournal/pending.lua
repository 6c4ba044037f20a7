-- Returns head and body of each of the keys ARGV[2…], '' where there is none, as far as their bodies have about ARGV[1] bytes, and at least one.
local room, reply = tonumber(ARGV[1]), {}
for i = 2, #ARGV do
  local head = redis.call('HGET', heads, ARGV[i])
  if head then
    local size = readHead(head).size
    if i > 2 and size > room then
      break
    end
    room = room - size
  end
  reply[#reply + 1] = head or ''
  reply[#reply + 1] = head and redis.call('HGET', bodies, ARGV[i]) or ''
end
return reply
