-- limit_session: sets what a session may spend in all, from its next claim on.
-- KEYS  {k}:s<account><session>
-- ARGV  limit units, 0 for no limit
-- Answers 1 when there is such a session, else 0.
if call('EXISTS', KEYS[1]) == 0 then return 0 end
call('HSET', KEYS[1], 'l', ARGV[1])
return 1
