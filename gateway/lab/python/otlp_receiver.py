"""A collector of traces that decodes OTLP with the package opentelemetry-proto, and a service that shows its fields.

    otlp_receiver.py PORT

POST /v1/traces   the first is answered with 503 and Retry-After, the others are kept
GET /spans        what was kept, in JSON
any other         the fields of the request, in JSON
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

STATE = {"posts": 0, "spans": [], "faults": []}


def values(attributes):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def keep(body, kind):
    request = ExportTraceServiceRequest()
    request.ParseFromString(body)
    if kind != "application/x-protobuf":
        STATE["faults"].append(f"the content type is {kind}")
    # What the decoder does not know, it keeps and writes again; so the sizes tell.
    if len(request.SerializeToString()) != len(body):
        STATE["faults"].append("encoded again it has another size")
    for group in request.resource_spans:
        resource = values(group.resource.attributes)
        for scope in group.scope_spans:
            for span in scope.spans:
                STATE["spans"].append({
                    "resource": resource,
                    "scope": scope.scope.name,
                    "schema": group.schema_url,
                    "trace": span.trace_id.hex(),
                    "id": span.span_id.hex(),
                    "parent": span.parent_span_id.hex(),
                    "name": span.name,
                    "kind": span.SpanKind.Name(span.kind),
                    "nanos": span.end_time_unix_nano - span.start_time_unix_nano,
                    "flags": span.flags,
                    "status": span.status.StatusCode.Name(span.status.code),
                    "attributes": values(span.attributes),
                })


class Handler(BaseHTTPRequestHandler):
    def answer(self, status, body, kind="application/json", **fields):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        STATE["posts"] += 1
        if STATE["posts"] == 1:
            return self.answer(503, b"", Retry_After="1")
        try:
            keep(body, self.headers["Content-Type"])
        except Exception as error:  # What the decoder says is a fault of the encoder.
            STATE["faults"].append(repr(error))
        kind = "application/x-protobuf"
        self.answer(200, ExportTraceServiceResponse().SerializeToString(), kind)

    def do_GET(self):
        shown = STATE if self.path == "/spans" else dict(self.headers.items())
        self.answer(200, json.dumps(shown).encode())

    def log_message(self, *_):
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
