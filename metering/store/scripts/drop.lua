-- drop: removes keys of one shard. Of a session stays what the book has not: what it was billed and has spent of its
-- limit. It may claim nothing until it is written again; its buckets are full then.
-- KEYS  any key of the shard
-- ARGV  the keys
local at = #prefix_of(KEYS[1]) + 1
local full = 2 ^ 32 - 1
for i = 1, #ARGV do
  local packed = sub(ARGV[i], at, at) == 's' and call('HGET', ARGV[i], 'b')
  if packed then
    local _, _, since, ticks = slot_of(packed)
    call('HDEL', ARGV[i], 'i', 's', 'x', 'j', 'l', 'e', 'k', 'q', 'c')
    call('HSET', ARGV[i], 'b', pack_slot(full, full, since, ticks, 0))
  else
    call('UNLINK', ARGV[i])
  end
end
return #ARGV
