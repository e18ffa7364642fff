-- deposits: the sum of an account's deposits is now this; the balance follows by the difference.
-- KEYS  {k}:a<account>
-- ARGV  total units
-- Answers the balance.
local applied = call('HGET', KEYS[1], 'd') or '0'
local function less(field) if applied ~= '0' then call('HINCRBY', KEYS[1], field, '-' .. applied) end end
less('b')
less('d')
call('HINCRBY', KEYS[1], 'd', ARGV[1])
call('HINCRBY', KEYS[1], 'b', ARGV[1])
return call('HGET', KEYS[1], 'b')
