-- lease: one holder at a time may submit with an operator's key; each new one has a higher token.
-- KEYS  {k}:l<account>
-- ARGV  holder (hex), lifetime ms (0 gives it back), the newest token that the caller's book knows
-- Answers the holder's token; 0 when another holds it.
local now, ttl = clock_ms(), tonumber(ARGV[2])
local m = call('HMGET', KEYS[1], 'h', 't', 'x')
local token = tonumber(m[2] or 0)
if m[1] and m[1] ~= ARGV[1] and tonumber(m[3]) > now then return 0 end
if ttl == 0 then
  call('HSET', KEYS[1], 'x', 0)
  return token
end
local known = tonumber(ARGV[3])
-- Ours and in time: the same token. A Redis that was emptied knows none: go on above the book's.
if m[1] ~= ARGV[1] or tonumber(m[3]) <= now or token < known then
  token = math.max(token, known) + 1
end
call('HSET', KEYS[1], 'h', ARGV[1], 't', int(token), 'x', int(now + ttl))
return token
