-- forget_unbilled: the book has these ticks now. What came to a word since stays.
-- KEYS  {k}:f ticks that are watched and never billed
-- ARGV  field and bits of each word
for i = 1, #ARGV, 2 do
  local left = band(tonumber(call('HGET', KEYS[1], ARGV[i]) or 0), bnot(tonumber(ARGV[i + 1])))
  if left == 0 then call('HDEL', KEYS[1], ARGV[i]) else call('HSET', KEYS[1], ARGV[i], int(left)) end
end
return 1
