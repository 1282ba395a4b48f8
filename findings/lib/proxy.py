"""Sends one request through a proxy and prints what the origin server and the client received.

Usage: proxy.py nginx|haproxy PROGRAM REQUEST RESPONSE

Line ends in REQUEST and RESPONSE are written as \\n and sent as CR LF. The Date line and
empty lines are left out.
"""

import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

NGINX = """daemon off; master_process off; pid {folder}/pid; error_log {folder}/log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/1; proxy_temp_path {folder}/2; fastcgi_temp_path {folder}/3;
  uwsgi_temp_path {folder}/4; scgi_temp_path {folder}/5;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://127.0.0.1:{origin};
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Connection "";
    }}
  }}
}}
"""
HAPROXY = """defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 5s
listen proxy
  bind 127.0.0.1:{port}
  server origin 127.0.0.1:{origin}
"""


def listener():
    server = socket.socket()
    server.bind(("127.0.0.1", 0))
    server.listen()
    return server, server.getsockname()[1]


def read(connection):
    """Reads until the peer closes or is silent for half a second."""
    connection.settimeout(0.5)
    data = b""
    try:
        while part := connection.recv(65536):
            data += part
    except TimeoutError:
        pass
    return data


def show(name, data):
    print(f"{name}:")
    for line in data.decode().splitlines() or ["(nothing)"]:
        if line and not line.lower().startswith("date:"):
            print(f"  {line}")


def main():
    kind, program, request, response = sys.argv[1:]
    request, response = (text.replace("\\n", "\r\n").encode() for text in (request, response))
    server, origin = listener()
    received = []

    def serve():
        connection, _ = server.accept()
        received.append(read(connection))
        connection.sendall(response)

    threading.Thread(target=serve, daemon=True).start()
    unused, port = listener()
    unused.close()
    with tempfile.TemporaryDirectory() as folder:
        settings = pathlib.Path(folder, "settings")
        template = NGINX if kind == "nginx" else HAPROXY
        settings.write_text(template.format(folder=folder, port=port, origin=origin))
        arguments = ["-e", f"{folder}/log", "-c", settings] if kind == "nginx" else ["-q", "-db", "-f", settings]
        proxy = subprocess.Popen([program, *arguments])
        try:
            time.sleep(1)
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(request)
                time.sleep(1)
                answer = read(client)
        finally:
            proxy.terminate()
            proxy.wait()
    show("origin received", received[0] if received else b"")
    show("client received", answer)


main()
