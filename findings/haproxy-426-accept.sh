#!/usr/bin/env bash
# Tool: HAProxy 2.6.12 (Debian 12 package 2.6.12-1+deb12u4) in HTTP mode.
# Expected: a 426 response passes through as it is. It says that the resource wants a WebSocket; nobody has
# accepted one.
# Does: HAProxy adds a field Sec-WebSocket-Accept to the 426 response, although the request held no
# Sec-WebSocket-Key and the status code is not 101.
# Output seen:
#   origin received:
#     GET / HTTP/1.1
#     host: a.example
#   client received:
#     HTTP/1.1 426 Upgrade Required
#     upgrade: websocket
#     connection: Upgrade
#     content-length: 0
#     Sec-Websocket-Accept: (a value)
# Why it matters: RFC 6455 defines the field for the answer that opens a connection. Tests that compare the
# responses of two proxies see a field that the origin server never sent, and the search for it starts in the
# wrong program.

. "$(dirname "$0")/lib/common.bash"
debian haproxy=2.6.12-1+deb12u4 liblua5.3-0 libopentracing1 libopentracing-c-wrapper0
python3 "$lib/proxy.py" haproxy root/usr/sbin/haproxy 'GET / HTTP/1.1\nHost: a.example\n\n' \
    'HTTP/1.1 426 Upgrade Required\nUpgrade: websocket\nConnection: Upgrade\nContent-Length: 0\n\n' |
    sed 's/\(Sec-Websocket-Accept:\) .*/\1 (a value)/' | check
