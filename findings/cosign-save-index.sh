#!/usr/bin/env bash
# Tool: cosign 3.1.1 (Debian package 3.1.1-2, or Go module github.com/sigstore/cosign/v3), with docker-registry 2.8.2.
# Expected: "cosign save" writes "the container image and associated signatures" to a folder, which
# "cosign verify --local-image" checks without a registry, for an image of one platform as for one of several.
# Does: the signature of an index is left out of the list in the folder. Both exit codes of save are 0.
# Output seen:
#   one platform: save exit code 0, verify exit code 0
#   two platforms: save exit code 0, verify exit code 1, no signatures associated with the image
# Why it matters: an image that is carried to a network without a registry arrives without its signature as soon as it
# is built for a second platform, and this shows only there.

. "$(dirname "$0")/lib/common.bash"
. "$lib/registry.bash"
. "$lib/cosign.bash"
put_image v1
curl --silent -H 'Accept: application/vnd.oci.image.index.v1+json' "$registry/manifests/v1" >index.json
carry() { # NAME FILE
    local image code=0
    image=$address/example/app@$(digest <"$2")
    sign "$image"
    ./cosign save --dir "$2.saved" "$image" >save.log 2>&1 || code=$?
    echo "$1: save exit code $code, verify $(verify --local-image "$2.saved")"
}
{
    carry "one platform" amd64.json
    carry "two platforms" index.json
} | check
