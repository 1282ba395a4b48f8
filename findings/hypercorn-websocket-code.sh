#!/usr/bin/env bash
# Library: Python package hypercorn 0.18.0.
# Expected: when the client closes a WebSocket with the code 1000, the application receives
# websocket.disconnect with the code 1000. ASGI defines the field as the code from the client's close frame.
# Does: the application receives the code 1006. RFC 6455 keeps that code for connections that ended without a
# close frame. The client gets its 1000 back.
# Output seen:
#   application received: {'type': 'websocket.disconnect', 'code': 1006}
#   client received: close frame with code 1000 and the end of the connection
# Why it matters: an application that counts or logs 1006 as a broken connection counts every orderly end. With a
# gateway before it the gateway is suspected, although the close frame went through it unchanged.

. "$(dirname "$0")/lib/common.bash"
python hypercorn==0.18.0 h2==4.4.1 hpack==4.2.0 hyperframe==6.1.0 h11==0.16.0 wsproto==1.3.2 priority==2.0.0
venv/bin/python "$lib/hypercorn_close.py" 1 2>log | check
