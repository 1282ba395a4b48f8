#!/usr/bin/env bash
# Tools: nginx 1.22.1 and HAProxy 2.6.12 (Debian 12 packages 1.22.1-9+deb12u11 and 2.6.12-1+deb12u4).
# Expected: a field that Connection names is meant for the next hop only. A proxy removes it before it
# forwards the message (RFC 9110, section 7.6.1).
# Does: nginx removes the field Connection and forwards the field that it named. HAProxy forwards both.
# Each does the same for the response.
# Output seen:
#   nginx
#   origin received:
#     Next-Hop-Only: request
#   client received:
#     Connection: keep-alive
#     Next-Hop-Only: response
#   haproxy
#   origin received:
#     connection: Next-Hop-Only
#     next-hop-only: request
#   client received:
#     connection: Next-Hop-Only
#     next-hop-only: response
# Why it matters: an application may have come to rely on such a field arriving. With a gateway that follows
# the RFC it is gone, and the access log of the origin server is the first place where that shows.

. "$(dirname "$0")/lib/common.bash"
debian nginx=1.22.1-9+deb12u11 haproxy=2.6.12-1+deb12u4 liblua5.3-0 libopentracing1 libopentracing-c-wrapper0
for proxy in nginx haproxy; do
    echo "$proxy"
    python3 "$lib/proxy.py" "$proxy" "root/usr/sbin/$proxy" \
        'GET / HTTP/1.1\nHost: a.example\nConnection: Next-Hop-Only\nNext-Hop-Only: request\n\n' \
        'HTTP/1.1 200 OK\nConnection: Next-Hop-Only\nNext-Hop-Only: response\nContent-Length: 0\n\n'
done | grep -i -E 'received|^[a-z]+$|next-hop|connection' | check
