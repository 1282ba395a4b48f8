#!/usr/bin/env bash
# Tool: crane 0.20.7 (Go module github.com/google/go-containerregistry).
# Expected: registries on 127.0.0.1 are addressed without TLS, so the first bytes are an HTTP request.
# Does: the first connection is a TLS handshake. Where it is answered by an HTTP refusal, HTTP follows at once. Where nothing
# answers it, as behind a proxy that waits for the end of an HTTP request's head, HTTP follows 0.3 s later.
# Output seen:
#   the handshake is refused by HTTP: TLS, HTTP, less than 0.2 s apart
#   the handshake is not answered: TLS, HTTP, more than 0.2 s apart
# Why it matters: a test or a benchmark through a proxy measures the pause and not the registry. Each command pays it,
# also for a request that takes a millisecond.

. "$(dirname "$0")/lib/common.bash"
. "$lib/registry.bash"
crane_0_20_7
put_image v1
cat >proxy.py <<'EOF'
import socket, sys, threading, time

upstream, refuses = sys.argv[1].split(":"), sys.argv[2] == "refused"
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
held = []

def copy(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.shutdown(socket.SHUT_WR)

while True:
    client, _ = listener.accept()
    is_tls = client.recv(1, socket.MSG_PEEK) == b"\x16"
    print("TLS" if is_tls else "HTTP", time.monotonic(), file=sys.stderr, flush=True)
    if is_tls:
        if refuses:
            client.recv(4096)
            client.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        held.append(client)
        continue
    server = socket.create_connection(upstream)
    for pair in (client, server), (server, client):
        threading.Thread(target=copy, args=pair, daemon=True).start()
EOF
through() {
    rm -f port
    python3 proxy.py "$address" "$1" >port 2>seen.log &
    local proxy=$!
    while [ ! -s port ]; do sleep 0.1; done
    ./crane digest "127.0.0.1:$(cat port)/example/app:v1" >crane.log
    kill $proxy
    awk 'NR < 3 { kinds = kinds sep $1; sep = ", "; pause = $2 - last; last = $2 }
        END { print kinds ", " (pause > 0.2 ? "more" : "less") " than 0.2 s apart" }' seen.log
}
{
    echo "the handshake is refused by HTTP: $(through refused)"
    echo "the handshake is not answered: $(through silent)"
} | check
