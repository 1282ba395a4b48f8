# Makes `layout`, an OCI image layout without an image; `image ARCHITECTURE` and `add_name DIGEST NAME` fill it.
mkdir -p layout/blobs/sha256
printf '{"imageLayoutVersion":"1.0.0"}' >layout/oci-layout
printf '{"schemaVersion":2,"manifests":[]}' >layout/index.json
blob() { # Stores standard input; prints its digest without `sha256:`.
    local file
    file=$(mktemp --tmpdir="$work")
    cat >"$file"
    hex=$(sha256sum "$file" | cut -c1-64)
    mv "$file" "layout/blobs/sha256/$hex"
    echo "$hex"
}
image() { # Stores an image of this architecture; prints its digest without `sha256:`.
    config=$(printf '{"architecture":"%s","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}' "$1" | blob)
    printf '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"%s","digest":"sha256:%s","size":%s},"layers":[]}' \
        application/vnd.oci.image.config.v1+json "$config" "$(stat -c %s "layout/blobs/sha256/$config")" | blob
}
add_name() {
    python3 - "$1" "$(stat -c %s "layout/blobs/sha256/$1")" "$2" <<'PY'
import json, sys
digest, size, name = sys.argv[1:]
index = json.load(open("layout/index.json"))
index["manifests"].append({
    "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:" + digest, "size": int(size),
    "annotations": {"org.opencontainers.image.ref.name": name},
})
json.dump(index, open("layout/index.json", "w"))
PY
}
