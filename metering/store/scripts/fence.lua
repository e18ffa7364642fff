-- fence: from now on the shard takes control's writes with this token only; an older one changes nothing.
-- KEYS  {k}:g
-- ARGV  token
if tonumber(call('GET', KEYS[1]) or 0) <= tonumber(ARGV[1]) then call('SET', KEYS[1], ARGV[1]) end
return 1
