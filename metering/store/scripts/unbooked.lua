-- unbooked: every tick that is pending or in a cut that is not booked.
-- KEYS  {k}:m cut numbers
-- ARGV  booked number, '' for what the shard knows
-- Answers {b<id>:<join>:<version>:<word> of a cut or p... of the pending, bits, ...} and
-- {<id>:<join>:<version>, ticks cut so far, ...}.
local P = prefix_of(KEYS[1])
local m = call('HMGET', KEYS[1], 'cut', 'booked', 'gone')
local booked = math.max(tonumber(ARGV[1]) or tonumber(m[2] or 0), tonumber(m[3] or 0))
local bits, counts = {}, {}
local function count(id, key)
  counts[#counts + 1] = id .. ':' .. key
  counts[#counts + 1] = call('HGET', P .. 'n' .. id, key) or '0'
end
for number = booked + 1, tonumber(m[1] or 0) do
  local cut = call('HGETALL', P .. 'c:' .. int(number))
  for i = 1, #cut, 2 do
    if sub(cut[i], 1, 1) == 'b' then
      bits[#bits + 1], bits[#bits + 2] = cut[i], cut[i + 1]
      count(sub(cut[i], 2, 49), string.match(sub(cut[i], 50), '^:(%d+:%d+):%d+$'))
    end
  end
end
local pending = call('HGETALL', P .. 'p')
for i = 1, #pending, 2 do
  bits[#bits + 1], bits[#bits + 2] = 'p' .. sub(pending[i], 2), pending[i + 1]
  count(sub(pending[i], 2, 49), string.match(sub(pending[i], 50), '^:(%d+:%d+):%d+$'))
end
return {bits, counts}
