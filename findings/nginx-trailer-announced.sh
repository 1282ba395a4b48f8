#!/usr/bin/env bash
# Tool: nginx 1.22.1 (Debian 12 package 1.22.1-9+deb12u11) as a reverse proxy, proxy_http_version 1.1.
# Expected: a proxy that does not forward trailers removes the Trailer field with them, or forwards both.
# Does: nginx forwards the field Trailer, which announces the trailers, and drops the trailers themselves.
# It does so in both directions. The request even leaves with Content-Length, where no trailer can follow.
# Output seen:
#   origin received:
#     POST / HTTP/1.1
#     Host: a.example
#     Content-Length: 3
#     Trailer: Checksum
#     abc
#   client received:
#     HTTP/1.1 200 OK
#     Server: nginx/1.22.1
#     Transfer-Encoding: chunked
#     Connection: keep-alive
#     Trailer: Checksum
#     3
#     abc
#     0
# Why it matters: a receiver that waits for an announced checksum or status never gets it, and reports the
# message as incomplete. Someone who replaces nginx by a gateway that forwards trailers sees fields at the
# origin server that were always announced and never came.

. "$(dirname "$0")/lib/common.bash"
debian nginx=1.22.1-9+deb12u11
python3 "$lib/proxy.py" nginx root/usr/sbin/nginx \
    'POST / HTTP/1.1\nHost: a.example\nTransfer-Encoding: chunked\nTrailer: Checksum\n\n3\nabc\n0\nChecksum: 1\n\n' \
    'HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nTrailer: Checksum\n\n3\nabc\n0\nChecksum: 2\n\n' | check
