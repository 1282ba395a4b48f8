-- Several limits of one request: it counts for all of them, or for none. The reply is one number for each limit, up
-- to the first that refuses.
--
-- ARGV: 1 to take a request back, 0 to count it; then for each key three:
--   0, the nanoseconds in which a token comes back, the nanoseconds in which the bucket fills: a token bucket by
--   the server's clock. Its number is in how many nanoseconds the bucket would be full after this request; more
--   than the third is a refusal. The value is "AHEAD AT": at AT, in microseconds since 1970, the bucket is full in
--   AHEAD nanoseconds. Both are whole numbers below 2^53, so that nothing is rounded.
--   1, the most, when the window ends in seconds since 1970: a number of requests in a window of the calendar. Its
--   number is that with this request; more than the most is a refusal.
local back = ARGV[1] == '1'
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local replies, counts = {}, {}
for i, key in ipairs(KEYS) do
  local first, second = tonumber(ARGV[3 * i]), tonumber(ARGV[3 * i + 1])
  local value = redis.call('GET', key)
  local number = 0
  if ARGV[3 * i - 1] == '0' then
    if value then
      local was, at = string.match(value, '^(%d+) (%d+)$')
      if was then
        -- A clock that was set back takes no token away.
        number = math.max(0, tonumber(was) - math.max(0, now - tonumber(at)) * 1000)
      end
    end
    number = back and math.max(0, number - first) or number + first
    if not back and number > second then
      first = nil
    end
  else
    counts[i] = tonumber(value or 0)
    number = back and math.max(0, counts[i] - 1) or counts[i] + 1
    if not back and number > first then
      first = nil
    end
  end
  replies[i] = number
  if not first then
    return replies
  end
end
for i, key in ipairs(KEYS) do
  if ARGV[3 * i - 1] == '0' then
    if replies[i] == 0 then
      redis.call('DEL', key)
    else
      redis.call('SET', key, string.format('%.0f %.0f', replies[i], now), 'PX', math.ceil(replies[i] / 1000000))
    end
  elseif replies[i] ~= counts[i] then
    redis.call(back and 'DECR' or 'INCR', key)
    if counts[i] == 0 then
      redis.call('EXPIREAT', key, ARGV[3 * i + 1])
    end
  end
end
return replies
