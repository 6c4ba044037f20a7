-- Drops the dead letters of the keys ARGV[1…], or all, and returns how many there were.
if #ARGV > 0 then
  return each(ARGV, 'HDEL', dead)
end
local n = redis.call('HLEN', dead)
redis.call('UNLINK', dead)
return n
