-- evidence: what was delivered, of one shard. Never refuses; may come late, twice and in any order.
-- KEYS  {k}:e epoch marker
-- reads and writes as claim.lua, except the buckets; limits do not stop what was delivered
-- ARGV  as claim.lua
-- New ticks become pending while the balance pays; the others are marked watched and counted unpaid, and the
-- session is ended ('purse'). A tick older than the watched hours is counted late and not billed.
-- What the chain would refuse of a join is unpaid too: beyond its rate, its spending, its price, after its end,
-- or so late that half of the notice in which its entries are still settled is over.
-- A cap is judged over the whole message, as a claim's is, and spent by what is paid.
-- A session whose player left is back with media of more than LEAD_S after that: what is late is no return.
-- What a preview, a cap, a free list or a pass covers is covered as in a claim, for a session that is known.
-- Answers like a claim, verdict 0, with the ticks billed by it.
if call('GET', KEYS[1]) ~= ARGV[1] then return 'EPOCH' end
local P = prefix_of(KEYS[1])
local watched_s = tonumber(ARGV[2])
local now = clock_ms()
local oldest = floor(now / 1000) - watched_s
local floors = call('HMGET', P .. 'm', 'from', 'to', 'ends')
local from, to = tonumber(floors[1] or 0), tonumber(floors[2] or 0)
local end_of = stream_ends(floors[3] or '')
local T = {metered = 0, unpaid = 0, forgiven = 0, late = 0, covered = 0}

-- Media are planned 3 s ahead of the clock at most, and a part's length more.
local LEAD_S = 5

local function pay(A, j, ticks, units)
  local amount = int(ticks * units)
  if j then
    if ticks > j.room then return false end
    local field = 'a' .. j.number
    call('HINCRBY', j.N, field, amount)
    local over = j.spend == '0' and 1 or call('HINCRBY', j.N, field, '-' .. j.spend)
    if j.spend ~= '0' then call('HINCRBY', j.N, field, j.spend) end
    if over > 0 then
      call('HINCRBY', j.N, field, '-' .. amount)
      return false
    end
  end
  if call('HINCRBY', A, 'b', '-' .. amount) >= 0 then
    if j then j.room = j.room - ticks end
    return true
  end
  call('HINCRBY', A, 'b', amount)
  if j then call('HINCRBY', j.N, 'a' .. j.number, '-' .. amount) end
  return false
end

-- Returns the bits of a piece that are paid for: all, or from the first tick on while balance and join allow it.
local function paid_bits(A, j, piece)
  if j and (piece[9] > j.price or piece[10] >= j.till or not takes_version(j, piece[8])) then return 0, 0 end
  local is_before_end = not j or piece[10] + piece[4] <= j.till
  if is_before_end and pay(A, j, piece[6], piece[9]) then return piece[5], piece[6] end
  local bits, n = 0, 0
  for i = 0, piece[4] - 1 do
    local bit = 2 ^ (piece[4] - 1 - i)
    if band(piece[5], bit) ~= 0 then
      if j and piece[10] + i >= j.till or not pay(A, j, 1, piece[9]) then break end
      bits, n = bits + bit, n + 1
    end
  end
  return bits, n
end

local function evidence(packed)
  local id, session, _, _, show, preview, most, runs, at = struct.unpack('>c48c8I4I4I4I4Bc0I2', packed)
  local account = sub(id, 1, 32)
  local S = P .. 's' .. account .. session
  local A, N = P .. 'a' .. account, P .. 'n' .. id
  local s = call('HMGET', S, 's', 'j', 'b', 'i', 'c', 'f')
  local a = call('HMGET', A, 'b', 'n', 'q')
  local join = s[4] == sub(id, 33) and s[2]
  local j
  if join and s[5] then
    j = join_of(N, join)
    if not j or now >= (j.till + j.notice / 2) * 1000 then join = false else j.room = room_of(j, now) end
  end
  local billed, cost, covered, capped, listed, passed, is_dry = 0, 0, 0, 0, 0, 0, false
  local passes = join and a[3] and a[3] ~= '' and passes_of(a[3], sub(id, 33), show) or {}
  local left, below, known, last = 0, 0, nil, 0
  if join then left, below, known = show_left(N, show, preview, most) end
  for _ = 1, runs do
    local first, count, version, units
    first, count, version, units, at = struct.unpack('>I8I4I4I8', packed, at)
    last = math.max(last, first + count - 1)
    if first < oldest then
      local late = math.min(count, oldest - first)
      T.late = T.late + late
      first, count = first + late, count - late
    end
    local pieces = {}
    unwatched(pieces, P, id, first, count, version, units)
    for _, piece in ipairs(pieces) do
      local free = to > from and forgiven_bits(piece, from, end_of[sub(id, 33)] or to) or 0
      local n = ones(free)
      T.forgiven = T.forgiven + n
      piece[5], piece[6] = piece[5] - free, piece[6] - n
      if join and version == 0 then listed = listed + list_piece(piece) end
      passed = passed + pass_piece(piece, passes)
      if covered < left then covered = covered + cover(piece, left - covered) end
      if join and most ~= '' and piece[6] > 0 then
        n, below = cap_piece(piece, below)
        capped = capped + n
      end
      watch(piece, watched_s, -1)
      if piece[6] > 0 then
        local bits, paid = 0, 0
        if join and a[1] then bits, paid = paid_bits(A, j, piece) end
        if paid > 0 then pend(P, id, join, piece, bits) end
        billed, cost = billed + paid, cost + paid * units
        if paid < piece[6] then
          T.unpaid, is_dry = T.unpaid + piece[6] - paid, true
          free = free + piece[5] - bits
        end
      end
      if free > 0 then keep_unbilled(P, id, piece, free) end
      keep_covered(P, id, show, piece)
    end
  end
  if covered > 0 then count_covered(N, show, covered) end
  covered = covered + capped + listed + passed
  T.covered = T.covered + covered
  if billed > 0 then
    local amount = int(cost)
    call('HINCRBY', S, 'u', amount)
    call('HINCRBY', N, 'u', amount)
    call('HINCRBY', A, day_field(A, a[2], now), amount)
    local v, w, since, ticks, hour = slot_of(s[3])
    call('HSET', S, 'b', pack_slot(v, w, since, ticks + billed, hour))
    if most ~= '' then spend_below_cap(P, id, N, show, most, known, amount) end
    if j then keep_join(j, billed) end
    T.metered = T.metered + billed
  end
  if s[6] and s[1] == 'live' and join and last > s[6] / 1000 + LEAD_S then call('HDEL', S, 'f') end
  if is_dry and s[1] == 'live' then finish(S, 'purse', now, watched_s * 1000 + 3600000) end
  return 0, billed, cost, call('HGET', A, 'b') or '0', covered
end

local answers = {}
for i = 4, #ARGV do
  local n = #answers
  answers[n + 1], answers[n + 2], answers[n + 3], answers[n + 4], answers[n + 5] = evidence(ARGV[i])
end
for field, n in pairs(T) do
  if n > 0 then call('HINCRBY', P .. 't', field, n) end
end
if T.metered > 0 then call('HINCRBY', P .. 't', 'pending', T.metered) end
return answers
