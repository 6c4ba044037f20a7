local meta, list, heads, bodies, held, dead = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local group, free = 'workers', 'free'

-- The server's clock in microseconds: below 2^53, so exact.
local function clock()
  local t = redis.call('TIME')
  return t[1] * 1000000 + t[2]
end

-- A head is what changes of an entry: position in two halves, as a number of Lua's has 53 bits; when it was accepted, in
-- milliseconds; writes merged; attempts; how many of the merged writes the source has when it has what was taken last; the length
-- of the body; and the id at which its key is listed.
local headForm, headSize = '>I4I4I8I4I4I4I4', 32

local function readHead(text)
  local h = {}
  h.hi, h.lo, h.accepted, h.merged, h.attempts, h.drop, h.size = struct.unpack(headForm, text)
  h.id = string.sub(text, headSize + 1)
  return h
end

local function writeHead(h)
  return struct.pack(headForm, h.hi, h.lo, h.accepted, h.merged, h.attempts, h.drop, h.size) .. h.id
end

-- What is taken is not in the index when it was buried: then held has the id at which its key is listed, and what is known of it.
local function readHeld(text)
  local at = string.find(text, '\n', 1, true)
  return string.sub(text, 1, at - 1), string.sub(text, at + 1)
end

local function enlist(key)
  return redis.call('XADD', list, '*', 'k', key)
end

local function noGroup(answer)
  return type(answer) == 'table' and answer.err and string.find(answer.err, 'NOGROUP', 1, true)
end

-- How often what a consumer has was delivered; nil if it does not have it.
local function deliveryOf(consumer, id)
  local p = redis.pcall('XPENDING', list, group, id, id, 1, consumer)
  if noGroup(p) then
    return nil
  end
  if p.err then
    p = redis.call('XPENDING', list, group, id, id, 1, consumer)
  end
  return p[1] and p[1][4]
end

-- Whether the consumer still has what it took: the same delivery of it, not a later one.
local function owns(consumer, id, count)
  return deliveryOf(consumer, id) == tonumber(count)
end

-- Commands with lists of arguments, which may be empty.
local function each(args, ...)
  if #args > 0 then
    local words = {...}
    for _, a in ipairs(args) do
      words[#words + 1] = a
    end
    return redis.call(unpack(words))
  end
end
