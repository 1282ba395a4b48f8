#!/usr/bin/env bash
# Library: Python package hypercorn 0.18.0, WebSocket over HTTP/2. Client: Python package h2 4.4.1.
# Expected: after the close frames the server ends its side. RFC 6455, section 7.1.1, lets the server close the
# connection first, and RFC 8441, section 5, makes END_STREAM the equivalent of that.
# Does: the server answers with its close frame and leaves its side of the stream open. Over HTTP/1.1 the same
# server closes the connection at once.
# Output seen:
#   application received: {'type': 'websocket.disconnect', 'code': ...}
#   client received: close frame with code 1000
#   client received: nothing more within 3 s
#   client sent: END_STREAM
# Why it matters: a client or gateway that waits for the server's end keeps the stream, and with it one of the
# connection's concurrent streams. A gateway has to end its own side after both close frames or a time.

. "$(dirname "$0")/lib/common.bash"
python hypercorn==0.18.0 h2==4.4.1 hpack==4.2.0 hyperframe==6.1.0 h11==0.16.0 wsproto==1.3.2 priority==2.0.0
venv/bin/python "$lib/hypercorn_close.py" 2 2>log | sed "s/'code': [0-9]*/'code': .../" | check
