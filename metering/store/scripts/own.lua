-- own: one server at a time serves money from a Redis, and one book for good. Each new holder has a higher token.
-- KEYS  {0}:o
-- ARGV  book, holder, name, lifetime ms, the newest token that the caller had, 1 to take an own lock that still holds
-- Answers {'book', book, name} of another book; {'held', name, expires ms} while another has it; {'taken', token, the
-- last holder or ''}.
local now = clock_ms()
local o = call('HMGET', KEYS[1], 'b', 'n', 'h', 't', 'x')
if o[1] and o[1] ~= ARGV[1] then return {'book', o[1], o[2]} end
local is_own = o[3] == ARGV[2] and ARGV[6] == '1'
if o[3] and not is_own and tonumber(o[5]) > now then return {'held', o[2], o[5]} end
local token = math.max(tonumber(o[4] or 0), tonumber(ARGV[5])) + 1
call('HSET', KEYS[1], 'b', ARGV[1], 'n', ARGV[3], 'h', ARGV[2], 't', int(token), 'x', int(now + tonumber(ARGV[4])))
return {'taken', int(token), o[3] or ''}
