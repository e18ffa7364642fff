-- forget: drops cuts whose batch is final.
-- KEYS  {k}:m cut numbers
-- ARGV  up to this number
-- Answers how many numbers are left to go: call again while above 0 (1000 at a time).
local P = prefix_of(KEYS[1])
local m = call('HMGET', KEYS[1], 'cut', 'gone', 'booked')
local last, gone = tonumber(m[1] or 0), tonumber(m[2] or 0)
local stop = math.min(tonumber(ARGV[1]), last)
local upto = math.min(stop, gone + 1000)
for number = gone + 1, upto do call('UNLINK', P .. 'c:' .. int(number)) end
if upto > gone then call('HSET', KEYS[1], 'gone', int(upto)) end
if upto > tonumber(m[3] or 0) then call('HSET', KEYS[1], 'booked', int(upto)) end
return math.max(0, stop - upto)
