-- guard: before each script of control. Its last ARGV is the fencing token of the caller's lock (own.lua), '' for none:
-- a server that lost the lock changes nothing more, however long it slept.
local fence = table.remove(ARGV)
if fence ~= '' and call('GET', string.match(KEYS[1], '^{%d+}:') .. 'g') ~= fence then
  return redis.error_reply('FENCED another server holds this Redis')
end
