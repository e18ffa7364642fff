-- carry: what is counted beside the bill goes on from what the book has.
-- KEYS  {k}:t
-- ARGV  field and ticks to add, of each
for i = 1, #ARGV, 2 do call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1]) end
return 1
