#!/usr/bin/env bash
# Tool: docker-registry 2.8.2 (Debian 12 package 2.8.2+ds1-1), storage on the file system.
# Expected: content that is addressed by its digest never changes, so that a manifest can be read by digest at any
# time, also while a second tag is put for it.
# Does: each PUT of the manifest writes the file that links its digest to its bytes again, truncated first. A GET by
# digest, or by a tag that was there before, that comes in this moment is answered by 500.
# Output seen:
#   puts of other tags: all 201
#   gets by digest meanwhile: 200 and 500
# Why it matters: a pull of a release fails now and then while its next tags are pushed, and a client that reads back
# what it has pushed must do so after its last tag, or repeat the request.

. "$(dirname "$0")/lib/common.bash"
. "$lib/registry.bash"
put_manifest v1
type='application/vnd.oci.image.manifest.v1+json'
curl --silent --dump-header head --output manifest.json -H "Accept: $type" "$registry/manifests/v1"
digest=$(field Docker-Content-Digest <head)
puts=() gets=()
for number in $(seq 2000); do
    puts+=(--next --silent --request PUT --data-binary @manifest.json -H "Content-Type: $type"
        --output put.txt --write-out '%{http_code}\n' "$registry/manifests/t$((number % 10))")
    gets+=(--next --silent -H "Accept: $type" --output get.txt --write-out '%{http_code}\n' "$registry/manifests/$digest")
done
curl "${puts[@]:1}" >puts &
curl "${gets[@]:1}" >gets
wait $!
{
    echo "puts of other tags: all $(sort -u puts | tr '\n' ' ' | sed 's/ $//')"
    echo "gets by digest meanwhile: $(sort -u gets | sed 's/^500$/and 500/' | tr '\n' ' ' | sed 's/ $//')"
} | check
