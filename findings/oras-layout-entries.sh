#!/usr/bin/env bash
# Tool: oras 1.3.6 (Go module oras.land/oras).
# Expected: a copy of one image of two platforms into a new layout makes an index.json with one entry, the image.
# Does: index.json also lists the manifest of each platform, without a name, beside the image that has them.
# Output seen:
#   entries: 3
#   image.index.v1+json, name 1
#   image.manifest.v1+json, name none
#   image.manifest.v1+json, name none
# Why it matters: readers that take a layout with a single entry as one image refuse this one, or take the first entry,
# unless they are given the name.

. "$(dirname "$0")/lib/common.bash"
. "$lib/layout.bash"
command -v go >go.log || missing "go is not here"
GOBIN=$work GOFLAGS=-modcacherw go install oras.land/oras/cmd/oras@v1.3.6 2>go.log || missing "$(cat go.log)"
entry() {
    printf '{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:%s","size":%s,"platform":{"architecture":"%s","os":"linux"}}' \
        "$2" "$(stat -c %s "layout/blobs/sha256/$2")" "$1"
}
index=$(printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[%s,%s]}' \
    "$(entry amd64 "$(image amd64)")" "$(entry arm64 "$(image arm64)")" | blob)
add_name "$index" 1
sed -i 's/image.manifest.v1+json/image.index.v1+json/' layout/index.json
./oras cp --from-oci-layout --to-oci-layout layout:1 copy:1 >oras.log 2>&1 || missing "$(cat oras.log)"
python3 - <<'PY' | check
import json
entries = json.load(open("copy/index.json"))["manifests"]
print("entries:", len(entries))
for entry in sorted(entries, key=lambda entry: entry["mediaType"]):
    name = entry.get("annotations", {}).get("org.opencontainers.image.ref.name", "none")
    print(entry["mediaType"].removeprefix("application/vnd.oci.") + ", name " + name)
PY
