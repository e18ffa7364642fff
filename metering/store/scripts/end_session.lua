-- end_session: its next claim is refused; what it was is kept while evidence of it may come.
-- KEYS  {k}:s<account><session>
-- ARGV  reason, keep ms
-- Answers 1 when it was live, else 0.
if call('HGET', KEYS[1], 's') ~= 'live' then return 0 end
finish(KEYS[1], ARGV[1], clock_ms(), tonumber(ARGV[2]))
return 1
