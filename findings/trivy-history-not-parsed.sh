#!/usr/bin/env bash
# Tool: Trivy 0.74.0 (Go module github.com/aquasecurity/trivy).
# Expected: the history of an image is free text (image-spec, "config.md"). Trivy makes a Dockerfile of it and checks
# that. One entry that is no instruction costs at most that entry, or a warning.
# Does: an entry that looks like ENV and has no name makes the whole history unreadable. All results of
# --image-config-scanners misconfig are gone, without a word, and the exit code is 0, also with --exit-code 1.
# Output seen:
#   ENV A=x: exit code 1, DS-0002 DS-0026
#   ENV =x: exit code 0, nothing
# Why it matters: a pipeline that refuses images that run as root (DS-0002) lets one pass with such an entry in its
# history. A gate has to demand a result of the class "config" and not only the absence of findings.

. "$(dirname "$0")/lib/common.bash"
if [ "$(trivy --version 2>/dev/null | head -n 1)" = "Version: 0.74.0" ]; then
    cp "$(command -v trivy)" trivy
else
    command -v go >go.log || missing "go is not here"
    GOBIN=$work GOFLAGS=-modcacherw GOTOOLCHAIN=go1.26.8 GOEXPERIMENT=jsonv2 \
        go install github.com/aquasecurity/trivy/cmd/trivy@v0.74.0 2>go.log || missing "$(cat go.log)"
fi

# Writes the layout of an image with one layer, and an entry $1 at the end of its history: `image ENTRY FOLDER`.
image() {
    python3 - "$@" <<'EOF'
import hashlib, io, json, os, sys, tarfile
entry, folder = sys.argv[1:]
os.makedirs(folder + "/blobs/sha256")
def put(media_type, data):
    digest = hashlib.sha256(data).hexdigest()
    open(f"{folder}/blobs/sha256/{digest}", "wb").write(data)
    return {"mediaType": "application/vnd.oci.image." + media_type, "digest": "sha256:" + digest, "size": len(data)}
layer = io.BytesIO()
tarfile.open(fileobj=layer, mode="w").close()
layer = put("layer.v1.tar", layer.getvalue())
history = [{"created_by": "COPY file / # buildkit"}, {"created_by": entry, "empty_layer": True}]
config = {"architecture": "amd64", "os": "linux", "config": {}, "history": history,
          "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}}
config = put("config.v1+json", json.dumps(config).encode())
manifest = {"schemaVersion": 2, "config": config, "layers": [layer]}
manifest = put("manifest.v1+json", json.dumps(manifest).encode())
json.dump({"schemaVersion": 2, "manifests": [manifest]}, open(folder + "/index.json", "w"))
open(folder + "/oci-layout", "w").write('{"imageLayoutVersion":"1.0.0"}')
EOF
}
scan() {
    image "$1" "$2"
    code=0
    ./trivy image --input "$2" --image-config-scanners misconfig --scanners license --skip-version-check \
        --cache-dir cache --exit-code 1 --format json --output "$2.json" 2>"$2.log" || code=$?
    checks=$(sed -n 's/.*"ID": "\(DS-[0-9]*\)".*/\1/p' "$2.json" | sort -u | paste -sd ' ')
    echo "$1: exit code $code, ${checks:-nothing}"
}
{
    scan "ENV A=x" named
    scan "ENV =x" unnamed
} | check
