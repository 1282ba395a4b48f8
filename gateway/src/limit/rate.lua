-- A token bucket, by the server's clock: the reply is in how many nanoseconds the bucket would be full
-- after this request. If that is more than the most, the request is refused and nothing changes.
--
-- The value is "AHEAD AT": at AT, in microseconds since 1970, the bucket is full in AHEAD nanoseconds.
-- Both are whole numbers below 2^53, so that nothing is rounded.
--
-- ARGV: the nanoseconds in which a token comes back; the nanoseconds in which the bucket fills; 1 to give a
-- token back.
local interval, most = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local ahead = 0
local value = redis.call('GET', KEYS[1])
if value then
  local was, at = string.match(value, '^(%d+) (%d+)$')
  if was then
    -- A clock that was set back takes no token away.
    ahead = math.max(0, tonumber(was) - math.max(0, now - tonumber(at)) * 1000)
  end
end
if ARGV[3] == '1' then
  ahead = math.max(0, ahead - interval)
else
  ahead = ahead + interval
  if ahead > most then
    return ahead
  end
end
if ahead == 0 then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], string.format('%.0f %.0f', ahead, now), 'PX', math.ceil(ahead / 1000000))
end
return ahead
