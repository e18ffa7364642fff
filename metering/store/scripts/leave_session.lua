-- leave_session: its player left, so that another player takes its slot before any other's. Its next claim or token
-- says that it is back, or evidence of media that were not made yet when it left.
-- KEYS  {k}:s<account><session>
-- Answers 1 when it is live, else 0.
if call('HGET', KEYS[1], 's') ~= 'live' then return 0 end
call('HSET', KEYS[1], 'f', clock_ms())
return 1
