-- buy_pass: takes the price of a pass out of a balance and lets it cover, or does nothing: never below 0, and never
-- beyond what its owner allows of a day, or of the stream. Once for each pass, however often it is asked.
-- KEYS  {k}:a<account>
-- ARGV  account and stream, pass id (16 bytes), units, limit per stream and per day (units, 0: none), all passes of the
--       account with this one (`model.passes`)
-- writes {k}:a b, u<day>, q {k}:n<id> u
-- Answers 0 when it is held now, 1 where the balance is too low and 2 at a limit, as a claim does, and the balance.
local A, id, units, now = KEYS[1], ARGV[1], ARGV[3], clock_ms()
local P = sub(A, 1, string.find(A, ':', 1, true))
local a = call('HMGET', A, 'b', 'n', 'q')
if a[3] and string.find(a[3], ARGV[2], 1, true) then return {0, a[1] or '0'} end
if not a[1] then return {1, '0'} end
local N, undo, is_over = P .. 'n' .. id, {}, false
local function spend(key, field, limit)
  call('HINCRBY', key, field, units)
  undo[#undo + 1] = {key, field}
  if limit ~= '0' then
    is_over = is_over or call('HINCRBY', key, field, '-' .. limit) > 0
    call('HINCRBY', key, field, limit)
  end
end
if call('HINCRBY', A, 'b', '-' .. units) < 0 then
  call('HINCRBY', A, 'b', units)
  return {1, a[1]}
end
spend(N, 'u', ARGV[4])
spend(A, day_field(A, a[2], now), ARGV[5])
if is_over then
  for _, u in ipairs(undo) do call('HINCRBY', u[1], u[2], '-' .. units) end
  call('HINCRBY', A, 'b', units)
  return {2, a[1]}
end
call('HSET', A, 'q', ARGV[6])
return {0, call('HGET', A, 'b')}
