#!/usr/bin/env bash
# Tool: cosign 3.1.1 (Debian package 3.1.1-2, or Go module github.com/sigstore/cosign/v3) with Rekor v2 (Go module
# github.com/sigstore/rekor-tiles/v2 v2.3.0), its server for files.
# Expected: a signature in a DSSE envelope is recorded as an entry of the kind dsse, which Rekor v2 has, with the index
# and the time of its inclusion.
# Does: the entry has the kind hashedrekord 0.0.2 and holds a digest and a signature alone. The bundle has neither the
# time nor, for the first entry of a log, the index: both are left out as zero.
# Output seen:
#   signature: dsseEnvelope
#   entry: hashedrekord 0.0.2
#   its body: hashedRekordV002 with data, signature
#   logIndex: absent, integratedTime: absent
# Why it matters: a search of the log for statements finds none of cosign's. A reader that requires logIndex or
# integratedTime, which bundles of Rekor v1 always have, rejects the bundle. The time comes from a timestamp authority.

. "$(dirname "$0")/lib/common.bash"
. "$lib/registry.bash"
. "$lib/cosign.bash"
GOBIN=$work/bin GOFLAGS=-modcacherw \
    go install github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix@v2.3.0 2>go.log || missing "$(cat go.log)"
put_image v1
image=$(digest <amd64.json)
openssl ecparam -name prime256v1 -genkey -noout -out rekor.key
openssl pkey -in rekor.key -pubout -out rekor.pub
free() { python3 -c 'import socket; s = socket.create_server(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
http=$(free) grpc=$(free) metrics=$(free)
mkdir rekor
bin/posix serve --hostname 127.0.0.1 --storage-dir rekor --signer-filepath rekor.key \
    --http-address 127.0.0.1 --http-port "$http" --grpc-address 127.0.0.1 --grpc-port "$grpc" \
    --http-metrics-port "$metrics" --checkpoint-interval 500ms --batch-max-age 100ms >rekor.log 2>&1 &
trap 'kill $(jobs -p) || true; rm -rf "$work"' EXIT
for _ in $(seq 100); do curl --silent --fail "http://127.0.0.1:$http/healthz" >health && break; sleep 0.2; done
since=start-time=2020-01-01T00:00:00Z
./cosign trusted-root create --out root.json \
    --rekor "url=http://127.0.0.1:$http,public-key=rekor.pub,$since,origin=127.0.0.1" 2>cosign.log
./cosign signing-config create --out services.json --rekor-config ANY \
    --rekor "url=http://127.0.0.1:$http,api-version=2,$since,operator=local" 2>cosign.log
./cosign sign --yes --key cosign.key --trusted-root root.json --signing-config services.json \
    "$address/example/app@$image" >sign.log 2>&1 || missing "$(cat sign.log)"
accept="Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
get() { curl --silent -H "$accept" "$registry/$1"; }
of() { python3 -c "import base64,json,sys; d = json.load(sys.stdin); print($1)"; }
manifest=$(get "manifests/sha256-${image#*:}" | of 'd["manifests"][0]["digest"]')
get "blobs/$(get "manifests/$manifest" | of 'd["layers"][0]["digest"]')" >bundle.json
python3 - <<'EOF' | check
import base64, json
bundle = json.load(open("bundle.json"))
entry = bundle["verificationMaterial"]["tlogEntries"][0]
print("signature:", next(key for key in bundle if key in ("dsseEnvelope", "messageSignature")))
print("entry:", entry["kindVersion"]["kind"], entry["kindVersion"]["version"])
body = json.loads(base64.b64decode(entry["canonicalizedBody"]))["spec"]
for kind, fields in body.items():
    print("its body:", kind, "with", ", ".join(sorted(fields)))
print(", ".join(name + ": " + ("there" if name in entry else "absent") for name in ("logIndex", "integratedTime")))
EOF
