-- claim: many claims of one shard, each granted or refused whole (law 5). A refused one changes nothing.
-- KEYS  {k}:e epoch marker (routes the call; all other keys share its tag)
-- reads {k}:m {k}:s<account><session> {k}:a<account> {k}:w<id>:<hour>
-- writes {k}:s b, u, f {k}:a b, u<day> {k}:n<id> u {k}:w {k}:p {k}:f {k}:t; all is counted, so that a limit set later holds
-- where something may be covered also reads and writes {k}:n<id> f<show> r<show> o, and writes {k}:v: no balance, limit
-- or join is asked for those ticks
-- where the account has passes also reads {k}:a q, and writes {k}:v: what a pass covers is asked nothing either
-- on a chain also reads {k}:n<id> c l t v<join>, and writes a t v<join>: what the chain would refuse is refused here
-- ARGV  epoch, watched seconds, bucket cap (1/5 ms), then one packed claim each (metering/store/resp.py)
-- Answers per claim: verdict (0 granted 1 purse 2 limit 3 session 4 pace 5 too old 6 future), new ticks billed, cost, balance,
-- ticks covered.
if call('GET', KEYS[1]) ~= ARGV[1] then return 'EPOCH' end
local P = prefix_of(KEYS[1])
local watched_s, cap = tonumber(ARGV[2]), tonumber(ARGV[3])
local now = clock_ms()
local oldest = floor(now / 1000) - watched_s
-- An HTTP process judges the future by the server's clock; this is for one whose clock is wrong.
local newest = floor(now / 1000) + 60
local floors = call('HMGET', P .. 'm', 'from', 'to', 'ends')
local from, to = tonumber(floors[1] or 0), tonumber(floors[2] or 0)
local end_of = stream_ends(floors[3] or '')
local sum_new, sum_forgiven, sum_covered = 0, 0, 0

local function is_limit(limit) return limit and limit ~= '0' end

-- Adds to a spent amount; true when that passes the limit. Exact, as Redis does the sums.
local function spend(undo, key, field, cost, limit)
  call('HINCRBY', key, field, cost)
  undo[#undo + 1] = {key, field}
  if not limit then return false end
  if limit == '0' then return true end
  local over = call('HINCRBY', key, field, '-' .. limit)
  call('HINCRBY', key, field, limit)
  return over > 0
end

local function claim(packed)
  local id, session, video, audio, show, preview, most, runs, at = struct.unpack('>c48c8I4I4I4I4Bc0I2', packed)
  local account = sub(id, 1, 32)
  local S = P .. 's' .. account .. session
  local A, N = P .. 'a' .. account, P .. 'n' .. id
  local s = call('HMGET', S, 's', 'x', 'i', 'j', 'l', 'b', 'c', 'f')
  local a = call('HMGET', A, 'b', 'm', 'y', 'n', 'q')
  local balance = a[1] or '0'
  if s[1] ~= 'live' or s[3] ~= sub(id, 33) or tonumber(s[2]) <= now then return 3, 0, 0, balance, 0 end
  local join = s[7] and join_of(N, s[4])
  if s[7] and not (join and now < join.till * 1000) then return 3, 0, 0, balance, 0 end

  local v, w, since, ticks, hour = slot_of(s[6])
  v = refilled(v, since, now, cap) - PER_MS * video
  w = refilled(w, since, now, cap) - PER_MS * audio
  if v < 0 or w < 0 then return 4, 0, 0, balance, 0 end

  local pieces, new, cost, is_listed = {}, 0, 0, false
  for _ = 1, runs do
    local first, count, version, units
    first, count, version, units, at = struct.unpack('>I8I4I4I8', packed, at)
    if first < oldest then return 5, 0, 0, balance, 0 end
    if first + count - 1 > newest then return 6, 0, 0, balance, 0 end
    local fresh = unwatched(pieces, P, id, first, count, version, units)
    new = new + fresh
    cost = cost + fresh * units
    is_listed = is_listed or version == 0
  end

  local forgiven = 0
  if to > from and new > 0 then
    for _, piece in ipairs(pieces) do
      local bits = forgiven_bits(piece, from, end_of[sub(id, 33)] or to)
      if bits > 0 then
        local n = ones(bits)
        forgiven = forgiven + n
        cost = cost - n * piece[9]
        piece[5] = piece[5] - bits
        piece[6] = piece[6] - n
        piece.forgiven = bits
      end
    end
    new = new - forgiven
  end

  local listed = 0
  if is_listed and new > 0 then
    for _, piece in ipairs(pieces) do
      if piece[8] == 0 then listed = listed + list_piece(piece) end
    end
    new = new - listed
  end

  local passed = 0
  if a[5] and a[5] ~= '' and new > 0 then
    local passes = passes_of(a[5], sub(id, 33), show)
    for _, piece in ipairs(pieces) do
      local n = pass_piece(piece, passes)
      passed, cost = passed + n, cost - n * piece[9]
    end
    new = new - passed
  end

  local covered, capped, known = 0, 0, nil
  if (preview > 0 or most ~= '') and new > 0 then
    local free, below
    free, below, known = show_left(N, show, preview, most)
    for _, piece in ipairs(pieces) do
      local n = cover(piece, free - covered)
      covered, cost = covered + n, cost - n * piece[9]
      if most ~= '' and piece[6] > 0 then
        n, below = cap_piece(piece, below)
        capped, cost = capped + n, cost - n * piece[9]
      end
    end
    new = new - covered - capped
  end
  -- A pass and a cap stand for what was paid: who owes for it watches nothing by it.
  if passed + capped > 0 and sub(balance, 1, 1) == '-' then return 1, 0, 0, balance, 0 end

  if new > 0 and join then
    for _, piece in ipairs(pieces) do
      if piece[6] > 0 then
        if piece[9] > join.price then return 2, 0, 0, balance, 0 end
        if not takes_version(join, piece[8]) then return 3, 0, 0, balance, 0 end
      end
    end
    if new > room_of(join, now) then return 4, 0, 0, balance, 0 end
  end

  if new > 0 then
    local amount = int(cost)
    local left = call('HINCRBY', A, 'b', '-' .. amount)
    if left < 0 then
      call('HINCRBY', A, 'b', amount)
      if not a[1] then call('HDEL', A, 'b') end
      return 1, 0, 0, balance, 0
    end
    local undo = {}
    if spend(undo, S, 'u', amount, is_limit(s[5]) and s[5])
      or join and spend(undo, join.N, 'a' .. join.number, amount, join.spend)
      or spend(undo, N, 'u', amount, is_limit(a[2]) and a[2])
      or spend(undo, A, day_field(A, a[4], now), amount, is_limit(a[3]) and a[3]) then
      for _, u in ipairs(undo) do call('HINCRBY', u[1], u[2], '-' .. amount) end
      call('HINCRBY', A, 'b', amount)
      return 2, 0, 0, balance, 0
    end
    balance = exact(left, A, 'b')
  end

  for _, piece in ipairs(pieces) do
    hour = watch(piece, watched_s, hour)
    if piece[6] > 0 then pend(P, id, s[4], piece, piece[5]) end
    if piece.forgiven then keep_unbilled(P, id, piece, piece.forgiven) end
    keep_covered(P, id, show, piece)
  end
  if new > 0 and join then keep_join(join, new) end
  if new > 0 and most ~= '' then spend_below_cap(P, id, N, show, most, known, int(cost)) end
  if covered > 0 then count_covered(N, show, covered) end
  covered = covered + capped + listed + passed
  sum_new, sum_forgiven, sum_covered = sum_new + new, sum_forgiven + forgiven, sum_covered + covered
  call('HSET', S, 'b', pack_slot(v, w, now, ticks + new, hour))
  if s[8] then call('HDEL', S, 'f') end -- its player is back
  return 0, new, cost, balance, covered
end

local answers = {}
for i = 4, #ARGV do
  local n = #answers
  answers[n + 1], answers[n + 2], answers[n + 3], answers[n + 4], answers[n + 5] = claim(ARGV[i])
end
if sum_new > 0 then
  call('HINCRBY', P .. 't', 'metered', sum_new)
  call('HINCRBY', P .. 't', 'pending', sum_new)
end
if sum_forgiven > 0 then call('HINCRBY', P .. 't', 'forgiven', sum_forgiven) end
if sum_covered > 0 then call('HINCRBY', P .. 't', 'covered', sum_covered) end
return answers
