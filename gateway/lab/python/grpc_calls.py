"""gRPC through a gateway, by grpcio on both sides.

    grpc_calls.py serve PORT
    grpc_calls.py call HOST:PORT [CA]     one line of JSON for each case
"""

import json
import sys
import time
from concurrent import futures

import grpc

LIMITS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
MB4 = 4 * 1024 * 1024


# --- the service -----------------------------------------------------------------------------------------------

CANCELLED = []
# Not what a gateway adds.
ECHOED = ("x-text", "x-data-bin", "x-long")


def echo(request, context):
    metadata = [item for item in context.invocation_metadata() if item[0] in ECHOED]
    context.send_initial_metadata(metadata)
    context.set_trailing_metadata([("x-trailing", "end"), ("x-trailing-bin", b"\x00\xff")])
    return request


def join(requests, _context):
    return b"".join(requests)


def count(request, _context):
    for number in range(int(request)):
        yield str(number).encode()


def chat(requests, _context):
    for request in requests:
        yield request.upper()


def remaining(_request, context):
    left = context.time_remaining()
    return b"none" if left is None else str(left).encode()


def sleep(request, context):
    context.add_callback(lambda: CANCELLED.append(request))
    end = time.monotonic() + 20
    while time.monotonic() < end and context.is_active():
        time.sleep(0.02)
    return b"late"


def cancelled(request, _context):
    return b"yes" if request in CANCELLED else b"no"


def refuse(_request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "no \u00e9t\u00e9 100%")


def break_off(_request, context):
    yield b"one"
    yield b"two"
    context.abort(grpc.StatusCode.DATA_LOSS, "after two")


def serve(port):
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    handlers = {
        "Echo": unary(echo),
        "Join": grpc.stream_unary_rpc_method_handler(join),
        "Count": stream(count),
        "Chat": grpc.stream_stream_rpc_method_handler(chat),
        "Remaining": unary(remaining),
        "Sleep": unary(sleep),
        "Cancelled": unary(cancelled),
        "Refuse": unary(refuse),
        "BreakOff": stream(break_off),
    }
    server = grpc.server(futures.ThreadPoolExecutor(64), options=LIMITS)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("lab.Lab", handlers),))
    if not server.add_insecure_port(f"127.0.0.1:{port}"):
        sys.exit(f"port {port} cannot be bound")
    server.start()
    server.wait_for_termination()


# --- the client ------------------------------------------------------------------------------------------------


def unary(channel, name, service="lab.Lab"):
    return channel.unary_unary(f"/{service}/{name}")


def status_of(call):
    try:
        call()
    except grpc.RpcError as error:
        return error
    raise AssertionError("the call succeeded")


def check(condition, detail=""):
    if not condition:
        raise AssertionError(detail)


def case_unary(channel):
    check(unary(channel, "Echo")(b"hello", timeout=5) == b"hello")


def case_empty(channel):
    check(unary(channel, "Echo")(b"", timeout=5) == b"")


def case_metadata(channel):
    sent = [("x-text", "a b"), ("x-text", "c"), ("x-data-bin", bytes(range(256)))]
    _, call = unary(channel, "Echo").with_call(b"x", metadata=sent, timeout=5)
    found = [tuple(item) for item in call.initial_metadata() if item[0] in ECHOED]
    expected = [("x-text", "a b"), ("x-text", "c"), ("x-data-bin", bytes(range(256)))]
    # A list of fields may come back as one field.
    joined = [("x-text", "a b, c"), expected[2]]
    check(sorted(found, key=str) in (sorted(expected, key=str), sorted(joined, key=str)), str(found))
    trailing = dict(call.trailing_metadata())
    check(trailing.get("x-trailing") == "end" and trailing.get("x-trailing-bin") == b"\x00\xff", str(trailing))


def case_metadata_6_kb(channel):
    _, call = unary(channel, "Echo").with_call(b"x", metadata=[("x-long", "y" * 6000)], timeout=5)
    check(dict(call.initial_metadata()).get("x-long") == "y" * 6000)


def case_4_mb(channel):
    message = bytes(MB4)
    check(unary(channel, "Echo")(message, timeout=20) == message)


def case_client_stream(channel):
    parts = [str(number).encode() for number in range(1000)]
    check(channel.stream_unary("/lab.Lab/Join")(iter(parts), timeout=10) == b"".join(parts))


def case_client_stream_4_mb(channel):
    parts = [bytes(64 * 1024)] * 64
    check(len(channel.stream_unary("/lab.Lab/Join")(iter(parts), timeout=20)) == MB4)


def case_server_stream(channel):
    got = list(channel.unary_stream("/lab.Lab/Count")(b"1000", timeout=10))
    check(got == [str(number).encode() for number in range(1000)], f"{len(got)} messages")


def case_both_streams(channel):
    """Each answer is awaited before the next question: nothing may be held back."""
    answered = futures.ThreadPoolExecutor(1)
    received = []

    def questions():
        for number in range(50):
            while len(received) < number:
                time.sleep(0.001)
            yield f"q{number}".encode()

    for answer in channel.stream_stream("/lab.Lab/Chat")(questions(), timeout=15):
        received.append(answer)
    answered.shutdown()
    check(received == [f"Q{number}".encode() for number in range(50)], str(received[:3]))


def case_deadline_is_passed_on(channel):
    left = unary(channel, "Remaining")(b"", timeout=7)
    check(left != b"none" and 3 < float(left) <= 7.1, str(left))


def case_deadline_is_kept(channel):
    started = time.monotonic()
    error = status_of(lambda: unary(channel, "Sleep")(b"deadline", timeout=0.5))
    check(error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, str(error.code()))
    check(time.monotonic() - started < 3)


def case_cancelling_reaches_the_service(channel):
    call = unary(channel, "Sleep").future(b"cancel-me", timeout=15)
    time.sleep(0.3)
    call.cancel()
    for _ in range(100):
        if unary(channel, "Cancelled")(b"cancel-me", timeout=5) == b"yes":
            return
        time.sleep(0.05)
    raise AssertionError("the service goes on")


def case_trailers_only(channel):
    error = status_of(lambda: unary(channel, "Refuse")(b"", timeout=5))
    check(error.code() == grpc.StatusCode.NOT_FOUND, str(error.code()))
    check(error.details() == "no \u00e9t\u00e9 100%", str(error.details()))


def case_error_after_messages(channel):
    call = channel.unary_stream("/lab.Lab/BreakOff")(b"", timeout=5)
    got = []
    error = status_of(lambda: got.extend(call))
    check(got == [] or got == [b"one", b"two"], str(got))
    check(error.code() == grpc.StatusCode.DATA_LOSS and error.details() == "after two", str(error))


def case_method_that_is_not_there(channel):
    error = status_of(lambda: unary(channel, "None")(b"", timeout=5))
    check(error.code() == grpc.StatusCode.UNIMPLEMENTED, str(error.code()))


def case_compression(channel):
    message = b"x" * 100_000
    check(unary(channel, "Echo")(message, timeout=5, compression=grpc.Compression.Gzip) == message)


def case_a_hundred_at_a_time(channel):
    calls = [unary(channel, "Echo").future(str(number).encode(), timeout=10) for number in range(100)]
    check([call.result() for call in calls] == [str(number).encode() for number in range(100)])


def case_no_service_is_unavailable(channel):
    error = status_of(lambda: unary(channel, "Echo", "lab.Dead")(b"", timeout=5))
    check(error.code() == grpc.StatusCode.UNAVAILABLE, f"{error.code()}: {error.details()}")


def case_a_timeout_of_the_gateway_is_deadline_exceeded(channel):
    error = status_of(lambda: unary(channel, "Sleep", "lab.Slow")(b"slow", timeout=10))
    check(error.code() == grpc.StatusCode.DEADLINE_EXCEEDED, f"{error.code()}: {error.details()}")


def call(target, authority):
    if authority:
        with open(authority, "rb") as file:
            channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(file.read()), LIMITS)
    else:
        channel = grpc.insecure_channel(target, LIMITS)
    for name, case in list(globals().items()):
        if not name.startswith("case_"):
            continue
        fault = None
        try:
            case(channel)
        except Exception as error:  # noqa: BLE001: whatever went wrong is the case's result
            code = error.code().name + ": " + str(error.details()) if isinstance(error, grpc.RpcError) else str(error)
            fault = f"{type(error).__name__} {code}"
        print(json.dumps({"case": name[5:].replace("_", " "), "fault": fault}), flush=True)


if sys.argv[1] == "serve":
    serve(sys.argv[2])
else:
    call(sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else None)
