-- rebuild: the last step of recovery, all or nothing: what was pending gives way to what is pending now, and the
-- shard becomes one of the new epoch. What is derived from the book was written before.
-- KEYS  {k}:e epoch marker
-- ARGV  epoch, booked number, forgiven from, forgiven to, metered ticks, newly forgiven ticks, ends of streams (id, u64 each), then field and bits of each pending word
-- writes {k}:p {k}:c {k}:m {k}:t {k}:e; {k}:f, unpaid and late stay as they were
local P = prefix_of(KEYS[1])
local M, T = P .. 'm', P .. 't'
local m = call('HMGET', M, 'cut', 'gone')
for number = tonumber(m[2] or 0) + 1, tonumber(m[1] or 0) do call('UNLINK', P .. 'c:' .. int(number)) end
call('UNLINK', P .. 'p')
call('DEL', M)
call('HSET', M, 'cut', ARGV[2], 'booked', ARGV[2], 'gone', ARGV[2], 'epoch', ARGV[1])
if tonumber(ARGV[4]) > tonumber(ARGV[3]) then
  call('HSET', M, 'from', ARGV[3], 'to', ARGV[4])
  if ARGV[7] ~= '' then call('HSET', M, 'ends', ARGV[7]) end
end
local pending = 0
for i = 8, #ARGV, 2 do
  call('HSET', P .. 'p', ARGV[i], ARGV[i + 1])
  pending = pending + ones(tonumber(ARGV[i + 1]))
end
call('HDEL', T, 'metered', 'pending')
call('HINCRBY', T, 'metered', ARGV[5])
call('HINCRBY', T, 'pending', pending)
call('HINCRBY', T, 'forgiven', ARGV[6])
call('SET', KEYS[1], ARGV[1])
return pending
