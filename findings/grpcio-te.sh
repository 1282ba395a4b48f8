#!/usr/bin/env bash
# Library: Python package grpcio 1.85.3, server. Client: Python package h2 4.4.1.
# Expected: the field "te: trailers" tells a server about the client. A server that insists on it refuses the
# call with a gRPC status, so that the client can report the reason.
# Does: a call without the field ends with RST_STREAM and the code INTERNAL_ERROR. There are no response
# headers, no grpc-status and no text for the client.
# Output seen:
#   with te: ResponseReceived, DataReceived, TrailersReceived, grpc-status 0
#   without te: StreamReset, code INTERNAL_ERROR
# Why it matters: TE is a field for one connection, so a proxy that follows RFC 9110 does not forward it as it
# came. A gateway before a gRPC server has to set it anew, and when it does not, the client sees a failure
# without any reason.

. "$(dirname "$0")/lib/common.bash"
python grpcio==1.85.3 h2==4.4.1 hpack==4.2.0 hyperframe==6.1.0
venv/bin/python - <<'EOF' 2>log | check
import socket
from concurrent import futures

import grpc
import h2.config
import h2.connection
import h2.errors


class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)


server = grpc.server(futures.ThreadPoolExecutor(1), handlers=[Echo()])
port = server.add_insecure_port("127.0.0.1:0")
server.start()


def call(fields):
    """The events of one call, as text."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    pseudo = {":method": "POST", ":scheme": "http", ":authority": "a.example", ":path": "/a.Service/Echo"}
    connection.send_headers(1, list({**pseudo, "content-type": "application/grpc", **fields}.items()))
    connection.send_data(1, b"\0\0\0\0\1a", end_stream=True)
    events = []
    with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
        while True:
            stream.sendall(connection.data_to_send())
            for event in connection.receive_data(stream.recv(65536)):
                name = type(event).__name__
                if name == "StreamReset":
                    return [*events, name, f"code {h2.errors.ErrorCodes(event.error_code).name}"]
                if name in ("ResponseReceived", "DataReceived", "TrailersReceived"):
                    events.append(name)
                if name == "TrailersReceived":
                    return [*events, f"grpc-status {dict(event.headers)['grpc-status']}"]


print("with te:", ", ".join(call({"te": "trailers"})))
print("without te:", ", ".join(call({})))
server.stop(0)
EOF
