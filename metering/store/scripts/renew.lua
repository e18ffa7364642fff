-- renew: the holder of a token keeps it, also when it expired and nobody took it; lifetime 0 gives it back.
-- KEYS  {0}:o
-- ARGV  token, lifetime ms
-- Answers {'ours'}, or {'lost', name of who has it, or ''}.
local o = call('HMGET', KEYS[1], 't', 'n')
if o[1] ~= ARGV[1] then return {'lost', o[2] or ''} end
local ttl = tonumber(ARGV[2])
call('HSET', KEYS[1], 'x', ttl == 0 and '0' or int(clock_ms() + ttl))
return {'ours'}
