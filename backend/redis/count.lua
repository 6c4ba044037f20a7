local function call(name, ...)
  local reply = redis.pcall(name, ...)
  if type(reply) == 'table' and reply.err then reply.err = reply.err .. ' (' .. name .. ')' end
  return reply
end

local n = call('INCRBY', KEYS[1], ARGV[1])
if type(n) ~= 'number' then return n end
local set = call('PEXPIRE', KEYS[1], ARGV[2])
if type(set) ~= 'number' then return set end
return n
