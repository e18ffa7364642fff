-- Shared by every script of this folder: the loader puts it before each of them.
-- Key layout, units and lifetimes: metering/store/keys.py. Money changes only by HINCRBY.
local call, fmt, sub, floor = redis.call, string.format, string.sub, math.floor
local band, bnot = bit.band, bit.bnot
local EXACT = 9007199254740992
local REFILL, PER_MS = 11, 5

local function prefix_of(key) return sub(key, 1, -2) end

local function int(n) return fmt('%.0f', n) end

-- Unix time in ms, of Redis: one clock for all processes.
local function clock_ms()
  local t = call('TIME')
  return t[1] * 1000 + floor(t[2] / 1000)
end

-- A signed 64-bit count as the caller can read it exactly.
local function exact(n, key, field)
  if n < EXACT and n > -EXACT then return n end
  return call('HGET', key, field)
end

local function ones(word)
  local n = 0
  while word > 0 do
    word = band(word, word - 1)
    n = n + 1
  end
  return n
end

local function refilled(level, at, now, cap)
  if now < at then return cap end
  local full = level + REFILL * (now - at)
  if full > cap then return cap end
  return full
end

-- What changes with every claim is one field of a session: video and audio bucket, their time, ticks billed, and
-- the last hour whose watched bitmap is known to have its lifetime.
local SLOT = '>I4I4I8I4I4'
local function slot_of(packed) return struct.unpack(SLOT, packed) end
local function pack_slot(v, a, at, ticks, hour) return struct.pack(SLOT, v, a, at, ticks, hour) end

-- Watched and pending bits are read and written in pieces of one word: 30 ticks, which divide the hour.
-- Appends to `pieces` what of a run was not watched; returns how many ticks that is.
local function unwatched(pieces, P, id, first, count, version, units)
  local tick, stop, total = first, first + count, 0
  while tick < stop do
    local word, hour = floor(tick / 30), floor(tick / 3600)
    local n, off = (word + 1) * 30 - tick, tick - hour * 3600
    if n > stop - tick then n = stop - tick end
    local key = P .. 'w' .. id .. ':' .. hour
    local old = call('BITFIELD', key, 'GET', 'u' .. n, off)[1]
    local new = band(2 ^ n - 1, bnot(old))
    if new ~= 0 then
      local fresh = ones(new)
      total = total + fresh
      pieces[#pieces + 1] = {key, hour, off, n, new, fresh, word, version, units, tick}
    end
    tick = tick + n
  end
  return total
end

-- Marks a piece watched; returns its hour. A bitmap made by it lives until no claim of its hour can be in time.
local function watch(piece, watched_s, known_hour)
  local key, hour = piece[1], piece[2]
  local is_made = hour ~= known_hour and call('EXISTS', key) == 0
  call('BITFIELD', key, 'SET', 'u' .. piece[4], piece[3], 2 ^ piece[4] - 1)
  if is_made then call('EXPIREAT', key, int((hour + 1) * 3600 + watched_s + 3600)) end
  return hour
end

-- Puts the ticks of `bits` (a subset of the piece's new ones) among the pending. They were not watched, so they
-- are not pending yet, and adding a word is the same as joining its bits.
local function pend(P, id, join, piece, bits)
  local shift = (piece[7] + 1) * 30 - piece[10] - piece[4]
  call('HINCRBY', P .. 'p', 'b' .. id .. ':' .. join .. ':' .. piece[8] .. ':' .. piece[7], int(bits * 2 ^ shift))
end

-- Keeps bits that are watched and never billed in a word of a hash, until the book has them: a rebuild must find
-- them watched.
local function keep_bits(key, name, piece, bits)
  local field = name .. ':' .. piece[7]
  local shift = (piece[7] + 1) * 30 - piece[10] - piece[4]
  local old = tonumber(call('HGET', key, field) or 0)
  call('HSET', key, field, int(bit.bor(old, bits * 2 ^ shift)))
end

local function keep_unbilled(P, id, piece, bits) keep_bits(P .. 'f', id, piece, bits) end

-- What of a show may still be covered by its preview (ticks), and still be billed below its cap (units, exact where
-- it is below one claim's cost); the same as Redis has it, nil before the first. Of a show that was forgotten, and of
-- those before it, nothing.
local function show_left(N, show, preview, cap)
  if preview == 0 and cap == '' then return 0, 0 end
  local f = call('HMGET', N, 'f' .. show, 'r' .. show, 'o')
  if not f[1] and not f[2] and f[3] and show <= tonumber(f[3]) then return 0, 0 end
  return math.max(0, preview - tonumber(f[1] or 0)), tonumber(f[2] or cap) or 0, f[2]
end

-- The earliest `n` of the new ticks of a piece, as bits.
local function earliest(piece, n)
  local bits = 0
  for i = piece[4] - 1, 0, -1 do
    if n == 0 then break end
    if band(piece[5], 2 ^ i) ~= 0 then bits, n = bits + 2 ^ i, n - 1 end
  end
  return bits
end

-- Takes up to `left` of the new ticks of a piece, the earliest first, out of what is billed; returns how many.
local function cover(piece, left)
  local n = math.min(piece[6], left)
  if n > 0 then
    local bits = n == piece[6] and piece[5] or earliest(piece, n)
    piece.covered, piece[5], piece[6] = bits, piece[5] - bits, piece[6] - n
  end
  return n
end

-- Takes the new ticks of a piece that would pass the show's cap out of what is billed; returns how many, and what is
-- left below the cap once the others are billed.
local function cap_piece(piece, left)
  local fits = (left - left % piece[9]) / piece[9]
  if fits >= piece[6] then return 0, left - piece[6] * piece[9] end
  local bits, n = earliest(piece, fits), piece[6] - fits
  piece.capped, piece[5], piece[6] = piece[5] - bits, bits, fits
  return n, left - fits * piece[9]
end

-- Takes all new ticks of a piece out of what is billed, where its viewer has them for nothing: its version is 0.
-- Returns how many.
local function list_piece(piece)
  local n = piece[6]
  if n > 0 then piece.listed, piece[5], piece[6] = piece[5], 0, 0 end
  return n
end

-- The passes of an account that cover a stream, or one show of it: first second and end of each (model/passes.py).
local PASS = '>c16I4I4I4c16'
local function passes_of(packed, stream, show)
  local held, at = {}, 1
  while at <= #packed do
    local of, of_show, from, till, _
    of, of_show, from, till, _, at = struct.unpack(PASS, packed, at)
    if of == stream and (of_show == 0 or of_show == show) then held[#held + 1] = {from, till} end
  end
  return held
end

-- Of a viewer and stream only the newest shows are kept: more than can be claimed.
local SHOWS = 16
local function forget_shows(N)
  local shows, is_known = {}, {}
  for _, field in ipairs(call('HKEYS', N)) do
    local known = string.match(field, '^[fr](%d+)$')
    if known and not is_known[known] then
      is_known[known] = true
      shows[#shows + 1] = tonumber(known)
    end
  end
  if #shows <= SHOWS then return end
  table.sort(shows)
  for i = 1, #shows - SHOWS do call('HDEL', N, 'f' .. int(shows[i]), 'r' .. int(shows[i])) end
  call('HSET', N, 'o', int(shows[#shows - SHOWS]))
end

-- Counts ticks of a show that its preview covered.
local function count_covered(N, show, n)
  if call('HINCRBY', N, 'f' .. show, n) == n then forget_shows(N) end
end

-- Takes what was billed of a show from what its cap leaves. The first time the book is told of the show too: what was
-- spent in it is derived from its seconds.
local function spend_below_cap(P, id, N, show, cap, known, amount)
  if not known then
    call('HSET', N, 'r' .. show, cap)
    if call('HSETNX', P .. 'v', sub(id, 33) .. ':' .. show, 1) == 1 then call('HINCRBY', P .. 't', 'shows', 1) end
    forget_shows(N)
  end
  call('HINCRBY', N, 'r' .. show, '-' .. amount)
end

-- Keeps what is covered of a piece until the book has it, by show and cause.
local function keep_covered(P, id, show, piece)
  if piece.covered then keep_bits(P .. 'v', id .. ':' .. show, piece, piece.covered) end
  if piece.capped then keep_bits(P .. 'v', id .. ':' .. show .. 'c', piece, piece.capped) end
  if piece.listed then keep_bits(P .. 'v', id .. ':' .. show .. 'l', piece, piece.listed) end
  if piece.passed then keep_bits(P .. 'v', id .. ':' .. show .. 'p', piece, piece.passed) end
end

-- Where the forgiven range ends for streams that had planned past its common end, by stream id.
local function stream_ends(packed)
  local ends = {}
  for at = 1, #packed, 24 do
    local stream, stop = struct.unpack('>c16I8', packed, at)
    ends[stream] = stop
  end
  return ends
end

-- The part of a piece's new bits that is in the forgiven range [from, to).
local function forgiven_bits(piece, from, to)
  local bits = 0
  for i = 0, piece[4] - 1 do
    local bit = 2 ^ (piece[4] - 1 - i)
    local tick = piece[10] + i
    if tick >= from and tick < to and band(piece[5], bit) ~= 0 then bits = bits + bit end
  end
  return bits
end

-- Takes the new ticks of a piece that a pass covers out of what is billed; returns how many.
local function pass_piece(piece, passes)
  local sum, n = 0, 0
  for _, held in ipairs(passes) do
    local bits = piece[6] > 0 and forgiven_bits(piece, held[1], held[2]) or 0
    if bits > 0 then
      local count = ones(bits)
      sum, n = sum + bits, n + count
      piece[5], piece[6] = piece[5] - bits, piece[6] - count
    end
  end
  if n > 0 then piece.passed = sum end
  return n
end

-- Units spent today are kept in a field of the day's name; the last day's is dropped.
local function day_field(key, last, now)
  local day = int(floor(now / 86400000))
  if last ~= day then
    if last then call('HDEL', key, 'u' .. last) end
    call('HSET', key, 'n', day)
  end
  return 'u' .. day
end

-- A join of a viewer as the chain has it: what it may have, and what it has. nil when the shard does not know it.
-- Judged by metering/model/join_caps.py; fields: keys.py, {k}:n<id>.
local CAPS, PPM = '>I4I4I4I4I8I8I8', 1000000
local function join_of(N, number)
  local f = call('HMGET', N, 'c' .. number, 'l' .. number, 't' .. number, 'v' .. number)
  if not f[1] then return nil end
  local j = {N = N, number = number, spend = f[2], ticks = tonumber(f[3] or 0), versions = f[4] or ''}
  j.burst, j.rate, j.prices, j.notice, j.from, j.till, j.price = struct.unpack(CAPS, f[1])
  return j
end

-- How many ticks more a join may have by now: a burst, then a rate.
local function room_of(j, now)
  local at = floor(now / 1000)
  if at > j.till then at = j.till end
  local earned = at > j.from and (at - j.from) * j.rate or 0
  return j.burst + (earned - earned % PPM) / PPM - j.ticks
end

-- True when a join may have ticks of a price version; it is one of its versions from then on.
local function takes_version(j, version)
  local packed = struct.pack('>I4', version)
  for i = 1, #j.versions, 4 do
    if sub(j.versions, i, i + 3) == packed then return true end
  end
  if #j.versions >= 4 * j.prices then return false end
  j.versions, j.is_new_version = j.versions .. packed, true
  return true
end

-- Writes how many ticks a join has got, and of which versions. What they cost is written where it is checked.
local function keep_join(j, ticks)
  call('HINCRBY', j.N, 't' .. j.number, ticks)
  if j.is_new_version then call('HSET', j.N, 'v' .. j.number, j.versions) end
end

-- Ends a session; its hash stays as long as evidence of it may come.
local function finish(key, reason, now, keep_ms)
  call('HSET', key, 's', reason, 'e', int(now))
  call('PEXPIREAT', key, int(now + keep_ms))
end
