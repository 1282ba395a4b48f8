#!/usr/bin/env bash
# Tool: buildx 0.29.1 with the BuildKit of Docker 28.5.2.
# Expected: `--output` with an option that its exporter does not have is an error, as a value that it does not take is.
# Does: an unknown option is ignored. A mistyped `compresion=zstd` and `rewrite-timestamps=true` make the layout that no
# option makes; a mistyped value is an error.
# Output seen:
#   compression=zsdt: exit code 1
#   compresion=zstd,rewrite-timestamps=true: exit code 0, layers: tar+gzip
# Why it matters: a build that asks for reproducible times or another compression by a mistyped option passes, and has
# neither.

. "$(dirname "$0")/lib/common.bash"
docker buildx version >buildx.log 2>&1 || missing "docker buildx is not here"
printf 'FROM scratch\nCOPY file /file\n' >Dockerfile
echo "$RANDOM" >file
build() { # OPTIONS
    rm -rf out
    code=0
    docker buildx build --quiet --provenance=false --output "type=oci,tar=false,dest=out,$1" . >buildx.log 2>&1 || code=$?
    if [ "$code" != 0 ]; then
        echo "$1: exit code $code"
        return
    fi
    python3 - "$1" <<'PY'
import json, sys
manifest = json.load(open("out/index.json"))["manifests"][0]
layers = json.load(open("out/blobs/sha256/" + manifest["digest"][7:]))["layers"]
print(sys.argv[1] + ": exit code 0, layers: " + ", ".join(layer["mediaType"].rsplit(".", 1)[1] for layer in layers))
PY
}
{
    build compression=zsdt
    build compresion=zstd,rewrite-timestamps=true
} | check
