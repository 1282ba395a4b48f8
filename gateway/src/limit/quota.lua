-- A number of requests in a window of the calendar: the reply is the number with this request. If that is
-- more than the most, the request is refused and not counted.
--
-- ARGV: the most; when the window ends, in seconds since 1970; 1 to take a request back.
local count = tonumber(redis.call('GET', KEYS[1]) or 0)
if ARGV[3] == '1' then
  if count > 0 then
    redis.call('DECR', KEYS[1])
  end
  return count
end
if count >= tonumber(ARGV[1]) then
  return count + 1
end
redis.call('INCR', KEYS[1])
if count == 0 then
  redis.call('EXPIREAT', KEYS[1], ARGV[2])
end
return count + 1
