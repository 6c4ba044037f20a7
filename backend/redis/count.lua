local n = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(n) == 'number' then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return n
