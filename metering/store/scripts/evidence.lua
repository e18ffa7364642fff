-- evidence: what was delivered, of one shard. Never refuses; may come late, twice and in any order.
-- KEYS  {k}:e epoch marker
-- reads and writes as claim.lua, except the buckets; limits do not stop what was delivered
-- ARGV  as claim.lua
-- New ticks become pending while the purse pays; the others are marked watched and counted unpaid, and the
-- session is ended ('purse'). A tick older than the watched hours is counted late and not billed.
-- Answers like a claim, verdict 0, with the ticks billed by it.
if call('GET', KEYS[1]) ~= ARGV[1] then return 'EPOCH' end
local P = prefix_of(KEYS[1])
local watched_s = tonumber(ARGV[2])
local now = clock_ms()
local oldest = floor(now / 1000) - watched_s
local floors = call('HMGET', P .. 'm', 'from', 'to')
local from, to = tonumber(floors[1] or 0), tonumber(floors[2] or 0)
local T = {metered = 0, unpaid = 0, forgiven = 0, late = 0}

local function pay(A, units)
  if call('HINCRBY', A, 'b', '-' .. int(units)) >= 0 then return true end
  call('HINCRBY', A, 'b', int(units))
  return false
end

-- Returns the bits of a piece that the purse pays for: all, or from the first tick on while it lasts.
local function paid_bits(A, piece)
  if pay(A, piece[6] * piece[9]) then return piece[5], piece[6] end
  local bits, n = 0, 0
  for i = 0, piece[4] - 1 do
    local bit = 2 ^ (piece[4] - 1 - i)
    if band(piece[5], bit) ~= 0 then
      if not pay(A, piece[9]) then break end
      bits, n = bits + bit, n + 1
    end
  end
  return bits, n
end

local function evidence(packed)
  local id, session, _, _, runs, at = struct.unpack('>c48c8I4I4I2', packed)
  local account = sub(id, 1, 32)
  local S = P .. 's' .. account .. session
  local A = P .. 'a' .. account
  local s = call('HMGET', S, 's', 'j', 'b', 'i')
  local a = call('HMGET', A, 'b', 'n', 'm', 'y')
  local join = s[4] == sub(id, 33) and s[2]
  local billed, cost, is_dry = 0, 0, false
  for _ = 1, runs do
    local first, count, version, units
    first, count, version, units, at = struct.unpack('>I8I4I4I8', packed, at)
    if first < oldest then
      local late = math.min(count, oldest - first)
      T.late = T.late + late
      first, count = first + late, count - late
    end
    local pieces = {}
    unwatched(pieces, P, id, first, count, version, units)
    for _, piece in ipairs(pieces) do
      local free = to > from and forgiven_bits(piece, from, to) or 0
      local n = ones(free)
      T.forgiven = T.forgiven + n
      piece[5], piece[6] = piece[5] - free, piece[6] - n
      watch(piece, watched_s, -1)
      if piece[6] > 0 then
        local bits, paid = 0, 0
        if join and a[1] then bits, paid = paid_bits(A, piece) end
        if paid > 0 then pend(P, id, join, piece, bits) end
        billed, cost = billed + paid, cost + paid * units
        if paid < piece[6] then
          T.unpaid, is_dry = T.unpaid + piece[6] - paid, true
          free = free + piece[5] - bits
        end
      end
      if free > 0 then keep_unbilled(P, id, piece, free) end
    end
  end
  if billed > 0 then
    local amount = int(cost)
    call('HINCRBY', S, 'u', amount)
    if a[3] and a[3] ~= '0' then call('HINCRBY', P .. 'n' .. id, 'u', amount) end
    if a[4] and a[4] ~= '0' then call('HINCRBY', A, day_field(A, a[2], now), amount) end
    local v, w, since, ticks, hour = seat_of(s[3])
    call('HSET', S, 'b', pack_seat(v, w, since, ticks + billed, hour))
    T.metered = T.metered + billed
  end
  if is_dry and s[1] == 'live' then finish(S, 'purse', now, watched_s * 1000 + 3600000) end
  return 0, billed, cost, call('HGET', A, 'b') or '0'
end

local answers = {}
for i = 4, #ARGV do
  local n = #answers
  answers[n + 1], answers[n + 2], answers[n + 3], answers[n + 4] = evidence(ARGV[i])
end
for field, n in pairs(T) do
  if n > 0 then call('HINCRBY', P .. 't', field, n) end
end
if T.metered > 0 then call('HINCRBY', P .. 't', 'pending', T.metered) end
return answers
