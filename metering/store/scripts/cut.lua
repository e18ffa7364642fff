-- cut: moves what is pending away under a number, together with the cumulative count of each line.
-- KEYS  {k}:m cut numbers
-- ARGV  number, booked number
-- reads and writes {k}:p {k}:n<id> {k}:c:<number> {k}:t pending
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

local pending = call('HGETALL', P .. 'p')
if #pending == 0 then return {} end
call('RENAME', P .. 'p', C)
local sum, counts, order = 0, {}, {}
for i = 1, #pending, 2 do
  local n = ones(tonumber(pending[i + 1]))
  local name = string.match(sub(pending[i], 50), '^(:%d+:%d+):%d+$')
  local key = sub(pending[i], 2, 49) .. name
  if not counts[key] then
    counts[key] = 0
    order[#order + 1] = key
  end
  counts[key] = counts[key] + n
  sum = sum + n
end
for _, key in ipairs(order) do
  local ticks = call('HINCRBY', P .. 'n' .. sub(key, 1, 48), sub(key, 50), counts[key])
  call('HSET', C, 'n' .. key, int(ticks))
end
call('HSET', KEYS[1], 'cut', ARGV[1])
call('HINCRBY', P .. 't', 'pending', -sum)
return call('HGETALL', C)
