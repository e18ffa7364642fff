-- deposits: what came in and stayed sums to this now; so do provisional credit and what is frozen, if they are
-- told. The balance follows by the differences: a deposit that turns from provisional to final is never there twice.
-- KEYS  {k}:a<account>
-- ARGV  total units, or: total, provisional and frozen units
-- Answers the balance.
local A = KEYS[1]
local function add(field, units) if units ~= '0' then call('HINCRBY', A, field, units) end end
local function less(field, units) if units ~= '0' then call('HINCRBY', A, field, '-' .. units) end end
local function known(field) return call('HGET', A, field) or '0' end
local is_chain = #ARGV > 1
less('b', known('d'))
if is_chain then
  less('b', known('v'))
  add('b', known('z'))
  call('HSET', A, 'v', ARGV[2], 'z', ARGV[3])
  less('b', ARGV[3])
  add('b', ARGV[2])
end
call('HSET', A, 'd', ARGV[1])
call('HINCRBY', A, 'b', ARGV[1])
return call('HGET', A, 'b')
