-- withdraw: takes an amount out of a balance, and out of the sum of what came in, or nothing: never below 0.
-- KEYS  {k}:a<account>
-- ARGV  units
-- Answers 1 when it was taken, else 0, and the balance.
local A, units = KEYS[1], ARGV[1]
if call('HEXISTS', A, 'b') == 0 then return {0, '0'} end
local is_taken = call('HINCRBY', A, 'b', '-' .. units) >= 0
if is_taken then call('HINCRBY', A, 'd', '-' .. units) else call('HINCRBY', A, 'b', units) end
return {is_taken and 1 or 0, call('HGET', A, 'b')}
