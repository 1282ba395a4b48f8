#!/usr/bin/env bash
# Tool: Redis 7.0.15 (Debian 12 package 5:7.0.15-1~deb12u10), a script in Lua.
# Expected: a number becomes the same text, whether a script passes it to a command or joins it to a text
# first. Both are a conversion of one number to a text.
# Does: as an argument of a command the number keeps 17 digits. Made a text by `..` or `tostring`, it keeps
# 14 and gets an exponent: a time in microseconds since 1970 is off by up to 50 microseconds.
# Output seen:
#   passed as a number: 1764000000123456
#   joined to a text: 1.7640000001235e+15
#   made by tostring: 1.7640000001235e+15
#   made by string.format: 1764000000123456
# Why it matters: a rate limit keeps the time of the server in a key. A script that stores the time alone
# works. Once it stores two numbers in one value, the time is rounded, and a pattern such as `%d+` does not
# find it any more.

. "$(dirname "$0")/lib/common.bash"
debian redis-server=5:7.0.15-1~deb12u10 redis-tools=5:7.0.15-1~deb12u10 libatomic1 liblzf1 libjemalloc2
root/usr/bin/redis-server --port 0 --unixsocket "$work/socket" --save "" --appendonly no >server.log 2>&1 &
trap 'kill $!; rm -rf "$work"' EXIT
cli() { root/usr/bin/redis-cli -s "$work/socket" "$@"; }
for _ in $(seq 100); do cli ping >ping.log 2>&1 && break || sleep 0.1; done
cli eval 'local time = 1764000000123456
  redis.call("SET", "a", time)
  redis.call("SET", "b", time .. "")
  redis.call("SET", "c", tostring(time))
  redis.call("SET", "d", string.format("%.0f", time))
  return {"passed as a number: " .. redis.call("GET", "a"), "joined to a text: " .. redis.call("GET", "b"),
    "made by tostring: " .. redis.call("GET", "c"), "made by string.format: " .. redis.call("GET", "d")}' 0 |
    check
