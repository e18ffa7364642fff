-- put: sets fields of a hash.
-- KEYS  {k}:... the hash
-- ARGV  field and value of each
if #ARGV > 0 then call('HSET', KEYS[1], unpack(ARGV)) end
return 1
