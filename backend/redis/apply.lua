-- record.Apply as one step at KEYS[1], by the server's clock. backend/record has the layout and the rules; the names here
-- are those of step.go. ARGV: verb, record, expect, fresh, TTL in milliseconds.
-- Answers 1 for done; for refused the record that was there, or nil. It writes at most once, as its last call: an error
-- means that nothing was written.
local verb, new, expect, fresh, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local header, zero, slack, max_writers = 27, string.rep('\0', 16), 1000, 256

-- call is redis.pcall whose errors name the command: of a user who may not run it Redis does not say which it was.
local function call(name, ...)
  local reply = redis.pcall(name, ...)
  if type(reply) == 'table' and reply.err then reply.err = reply.err .. ' (' .. name .. ')' end
  return reply
end

local time = call('TIME')
if time.err then return time end
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- The expiry is a signed 64-bit number. A double is exact below 2^53, and every time that can be near now is far below;
-- what is rounded is so far in the future that no comparison with now changes.
local function expiry(r)
  local hi, lo = struct.unpack('>I4I4', r, 20)
  if hi >= 2147483648 then return -1 end
  return hi * 4294967296 + lo
end

local function with_expiry(r, ms)
  local hi = math.floor(ms / 4294967296)
  return r:sub(1, 19) .. struct.pack('>I4I4', hi, ms - hi * 4294967296) .. r:sub(28)
end

local function kind(r) return r:byte(2) end
local function token(r) return r:sub(4, 19) end
local function slack_of(r) if kind(r) == 3 then return slack end return 0 end

local function dirty(r)
  local flags = r:byte(3)
  if flags % 2 == 0 then flags = flags + 1 end
  return r:sub(1, 2) .. string.char(flags) .. fresh .. r:sub(20)
end

local function writer(r)
  for i = header + 1, #r - 15, 16 do
    if r:sub(i, i + 15) == expect then return i end
  end
end

local function check(reply)
  if type(reply) == 'table' and reply.err then return reply end
  return 1
end

local function set(r, ms) return check(call('SET', KEYS[1], r, 'PX', string.format('%.0f', ms))) end
local function keep(r) return check(call('SET', KEYS[1], r, 'KEEPTTL')) end

local stored = call('GET', KEYS[1])
if type(stored) == 'table' then return stored end
local function remove()
  if not stored then return 1 end
  return check(call('DEL', KEYS[1]))
end

-- extend gives the fence or lease r a later expiry. The key's own lifetime follows; an earlier one changes neither.
local function extend(r)
  local at = now + ttl
  if at <= expiry(r) then return keep(r) end
  return set(with_expiry(r, at), ttl + slack_of(r))
end

local current = stored
if not current or #current < header or now >= expiry(current) + slack_of(current) then current = false end
local fence = current and kind(current) == 3
local named = current and expect ~= zero and token(current) == expect

if verb == 'add' then
  if current then return current end
  return set(new, ttl + slack_of(new))
elseif verb == 'swap' then
  if not named then return current end
  return set(new, ttl + slack_of(new))
elseif verb == 'remove' then
  if not named then return current end
  return remove()
elseif verb == 'place' then
  if not fence then
    return set(with_expiry('\1\3\0' .. expect .. string.rep('\0', 8) .. expect, now + ttl), ttl + slack)
  end
  if not writer(current) then
    if #current - header >= max_writers * 16 then return current end
    current = current .. expect
  end
  return extend(dirty(current))
elseif verb == 'leave' or verb == 'delete' then
  if not fence then return remove() end
  if verb == 'leave' then
    local i = writer(current)
    if i then
      current = current:sub(1, i - 1) .. current:sub(i + 16)
      if #current < header + 16 then return remove() end
    end
  end
  return keep(dirty(current))
elseif verb == 'renew' then
  if not (named or fence and writer(current)) then return current end
  if kind(current) == 1 then return set(with_expiry(current, now + ttl), ttl) end
  return extend(current)
end
return redis.error_reply('ERR strata: unknown verb ' .. verb)
