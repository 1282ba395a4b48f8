"""Runs a WebSocket application on Hypercorn; the client closes with code 1000.

`hypercorn_close.py 1` uses HTTP/1.1, `hypercorn_close.py 2` HTTP/2 (RFC 8441). Prints what each side saw.
"""

import asyncio
import socket
import sys

import h2.config
import h2.connection
import h2.events
from hypercorn.asyncio import serve
from hypercorn.config import Config

# A masked close frame with the code 1000.
CLOSE = b"\x88\x82\x00\x00\x00\x00\x03\xe8"


async def application(scope, receive, send):
    if scope["type"] == "lifespan":
        for _ in range(2):
            await send({"type": (await receive())["type"] + ".complete"})
        return
    await receive()
    await send({"type": "websocket.accept"})
    print("application received:", await receive())


async def over_http1(reader, writer):
    lines = ["GET / HTTP/1.1", "Host: a.example", "Connection: Upgrade", "Upgrade: websocket"]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", ""]
    writer.write("\r\n".join(lines).encode())
    await reader.readuntil(b"\r\n\r\n")
    writer.write(CLOSE)
    answer = await asyncio.wait_for(reader.read(), 5)
    print("client received: close frame with code", int.from_bytes(answer[2:4]), "and the end of the connection")


async def over_http2(reader, writer):
    connection = h2.connection.H2Connection(h2.config.H2Configuration())
    connection.initiate_connection()
    fields = [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http")]
    fields += [(":authority", "a.example"), (":path", "/"), ("sec-websocket-version", "13")]
    opened = False
    try:
        while True:
            writer.write(connection.data_to_send())
            for event in connection.receive_data(await asyncio.wait_for(reader.read(65536), 3)):
                if isinstance(event, h2.events.RemoteSettingsChanged) and not opened:
                    opened = True
                    connection.send_headers(1, fields)
                elif isinstance(event, h2.events.ResponseReceived):
                    connection.send_data(1, CLOSE)
                elif isinstance(event, h2.events.DataReceived) and event.data:
                    print("client received: close frame with code", int.from_bytes(event.data[2:4]))
                elif isinstance(event, h2.events.StreamEnded):
                    print("client received: END_STREAM")
                    return
    except TimeoutError:
        print("client received: nothing more within 3 s")
    connection.end_stream(1)
    writer.write(connection.data_to_send())
    print("client sent: END_STREAM")


async def main():
    unused = socket.socket()
    unused.bind(("127.0.0.1", 0))
    port = unused.getsockname()[1]
    unused.close()
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    stop = asyncio.Event()
    server = asyncio.create_task(serve(application, config, shutdown_trigger=stop.wait))
    await asyncio.sleep(1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    await (over_http1 if sys.argv[1] == "1" else over_http2)(reader, writer)
    await asyncio.sleep(0.5)
    writer.close()
    stop.set()
    await server


asyncio.run(main())
