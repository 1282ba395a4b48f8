#!/usr/bin/env bash
# Tool: nginx 1.22.1 (Debian 12 package 1.22.1-9+deb12u11) as a reverse proxy.
# Expected: "OPTIONS *" asks for the capabilities of the server as a whole (RFC 9110, section 9.3.7). The
# proxy forwards it or answers it itself.
# Does: nginx calls the request malformed and answers 400. The origin server sees nothing.
# Output seen:
#   origin received:
#     (nothing)
#   client received:
#     HTTP/1.1 400 Bad Request
# Why it matters: health checks and tools that use "OPTIONS *" fail behind nginx and succeed with a direct
# connection. After a change from nginx to a proxy that forwards the request, the origin server gets a
# request that it has never seen before.

. "$(dirname "$0")/lib/common.bash"
debian nginx=1.22.1-9+deb12u11
python3 "$lib/proxy.py" nginx root/usr/sbin/nginx 'OPTIONS * HTTP/1.1\nHost: a.example\n\n' \
    'HTTP/1.1 204 No Content\n\n' >answer
sed -n '1,4p' answer | check
