#!/usr/bin/env bash
# Tool: HAProxy 2.6.12 (Debian 12 package 2.6.12-1+deb12u4) in HTTP mode.
# Expected: the request to an origin server has the origin form, a path (RFC 9112, section 3.2.1), also when
# the client sent the absolute form.
# Does: HAProxy forwards the absolute form as it came.
# Output seen:
#   origin received:
#     GET http://a.example/path?query HTTP/1.1
#     host: a.example
#   client received:
#     HTTP/1.1 204 No Content
# Why it matters: an application behind HAProxy that reads the path from the request line gets a whole URL
# from such a client, and its routes do not match. Behind nginx it gets the path. Access logs that are
# compared between the two proxies differ in the same way.

. "$(dirname "$0")/lib/common.bash"
debian haproxy=2.6.12-1+deb12u4 liblua5.3-0 libopentracing1 libopentracing-c-wrapper0
python3 "$lib/proxy.py" haproxy root/usr/sbin/haproxy \
    'GET http://a.example/path?query HTTP/1.1\nHost: a.example\n\n' 'HTTP/1.1 204 No Content\n\n' | check
