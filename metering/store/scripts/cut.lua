-- cut: moves what is pending away under a number, together with the cumulative count of each line.
-- KEYS  {k}:m cut numbers
-- ARGV  number, booked number, most lines
-- reads and writes {k}:d {k}:p<suffix> {k}:n<id> {k}:c:<number> {k}:t pending
-- Answers the cut's fields; the same again when it exists; nothing when nothing is pending.
-- 'GONE' when it was forgotten, 'GAP' when the last cut is not number - 1, 'UNBOOKED' when that is not booked.
local P = prefix_of(KEYS[1])
local number, booked = tonumber(ARGV[1]), tonumber(ARGV[2])
local C = P .. 'c:' .. ARGV[1]
if call('EXISTS', C) == 1 then return call('HGETALL', C) end
local m = call('HMGET', KEYS[1], 'cut', 'booked')
local last = tonumber(m[1] or 0)
if number <= last then return 'GONE' end
if number > last + 1 then return 'GAP' end
if last > booked then return 'UNBOOKED' end
if booked > tonumber(m[2] or 0) then call('HSET', KEYS[1], 'booked', booked) end

local sum = 0
for _, suffix in ipairs(call('SPOP', P .. 'd', ARGV[3])) do
  local key = P .. 'p' .. suffix
  local n = call('BITCOUNT', key)
  if n > 0 then
    local id, count = sub(suffix, 1, 48), string.match(sub(suffix, 49), '^:(%d+:%d+):%d+$')
    local byte = floor(call('BITPOS', key, 1) / 8)
    local ticks = call('HINCRBY', P .. 'n' .. id, count, n)
    call('HSET', C, 'b' .. suffix, int(byte) .. ':' .. call('GETRANGE', key, byte, -1),
      'n' .. id .. ':' .. count, int(ticks))
    sum = sum + n
  end
  call('DEL', key)
end
if sum == 0 then return {} end
call('HSET', KEYS[1], 'cut', ARGV[1])
call('HINCRBY', P .. 't', 'pending', -sum)
return call('HGETALL', C)
