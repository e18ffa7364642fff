-- open_session: lets one more player claim; at most max_sessions are live per account and stream.
-- KEYS  {k}:i<id> index of sessions
-- ARGV  prefix {k}:, id, session, join, limit units, expires ms, max_sessions, keep ms, bucket cap (1/5 ms),
--       1 when its join is one of the chain, else nothing; the session that it follows, or nothing
-- reads and writes {k}:s<account><session> of all sessions in the index
-- Answers the session that it ended ('' for none); the same again when repeated. An ended id stays ended.
local P, id, session = ARGV[1], ARGV[2], ARGV[3]
local keep, cap = tonumber(ARGV[8]), tonumber(ARGV[9])
local now = clock_ms()
local own = P .. 's' .. sub(id, 1, 32)
local S = own .. session
local until_ms = int(tonumber(ARGV[6]) + keep)

local known = call('HMGET', S, 's', 'k')
if known[1] then
  if known[1] == 'live' then
    call('HSET', S, 'x', ARGV[6], 'l', ARGV[5])
    call('HDEL', S, 'f')
    call('PEXPIREAT', S, until_ms)
    if call('PTTL', KEYS[1]) < tonumber(until_ms) - now then call('PEXPIREAT', KEYS[1], until_ms) end
  end
  return known[2] or ''
end

-- Buckets of an ended session are taken over as they are, unless they would be full by now; so is what it has spent
-- of its limit, and so is what the session that this one follows has spent, or who replaced that one.
local live, heir, spent = {}, nil, '0'
local function take_over(units)
  if units and (#units > #spent or #units == #spent and units > spent) then spent = units end
end
local followed, steps = ARGV[11] or '', 0
while followed ~= '' do
  local s = call('HMGET', own .. followed, 'i', 'u', 'q')
  if s[1] ~= sub(id, 33) then break end
  take_over(s[2])
  followed, steps = s[3] or '', steps + 1
  -- Each step was a click. Who goes on so has spent the limit, as far as anybody can tell.
  if steps == 256 then
    take_over(ARGV[5])
    break
  end
end
for _, member in ipairs(call('SMEMBERS', KEYS[1])) do
  local key = own .. member
  local s = call('HMGET', key, 's', 'x', 'b', 'e', 'u', 'f')
  if not s[1] then
    call('SREM', KEYS[1], member)
  else
    local one = {member = member, key = key, units = s[5], is_left = s[6] and true or false}
    one.v, one.a, one.at = slot_of(s[3])
    if s[1] == 'live' and tonumber(s[2]) <= now then
      finish(key, 'expired', now, keep)
      s[1], s[4] = 'expired', now
    end
    if s[1] == 'live' then
      live[#live + 1] = one
    elseif REFILL * (now - one.at) >= cap then
      call('SREM', KEYS[1], member)
    elseif not heir or tonumber(s[4]) > heir.ended then
      one.ended = tonumber(s[4])
      heir = one
    end
  end
end
-- Whose player left makes room first.
table.sort(live, function(x, y)
  if x.is_left ~= y.is_left then return x.is_left end
  if x.at ~= y.at then return x.at < y.at end
  return x.member < y.member
end)
local replaced = ''
while #live >= tonumber(ARGV[7]) do
  local last = table.remove(live, 1)
  finish(last.key, 'replaced', now, keep)
  call('HSET', last.key, 'q', session)
  replaced, heir = last.member, last
end

local v, a = cap, cap
if heir then
  v, a = refilled(heir.v, heir.at, now, cap), refilled(heir.a, heir.at, now, cap)
  take_over(heir.units)
  call('SREM', KEYS[1], heir.member)
end
call('HSET', S, 'i', sub(id, 33), 's', 'live', 'x', ARGV[6], 'j', ARGV[4], 'l', ARGV[5], 'k', replaced,
  'b', pack_slot(v, a, now, 0, 0))
if ARGV[10] == '1' then call('HSET', S, 'c', ARGV[10]) end
if spent ~= '0' then
  call('HSET', S, 'h', spent)
  call('HINCRBY', S, 'u', spent)
end
call('PEXPIREAT', S, until_ms)
call('SADD', KEYS[1], session)
if call('PTTL', KEYS[1]) < tonumber(until_ms) - now then call('PEXPIREAT', KEYS[1], until_ms) end
return replaced
