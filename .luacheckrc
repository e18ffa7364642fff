-- The scripts run inside Redis (Lua 5.1), each put behind common.lua: scripts/lint-lua checks them so.
std = "lua51"
max_line_length = false
read_globals = { "redis", "KEYS", "ARGV", "cjson", "struct", "bit" }
ignore = { "211", "221" } -- no script uses all of common.lua
