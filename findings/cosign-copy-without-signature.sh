#!/usr/bin/env bash
# Tool: cosign 3.1.1 (Debian package 3.1.1-2, or Go module github.com/sigstore/cosign/v3), with docker-registry 2.8.2,
# which has no referrers API.
# Expected: "cosign copy" copies "the supplied container image and signatures". The copy can be verified as the source.
# Does: a signature in the bundle format, the default of cosign 3, stays behind, and the exit code is 0. The tag
# sha256-HEX, where the list of referrers belongs, is written in the copy and names the image itself.
# Output seen:
#   source: exit code 0
#   copy: exit code 0
#   its signature: exit code 10, no signatures found
#   sha256-HEX of the source names a list, of the copy the image
# Why it matters: a mirror that was filled by "cosign copy" fails each verification. Clients that add to the list of
# referrers there find an image under its tag: some refuse, and some overwrite it.

. "$(dirname "$0")/lib/common.bash"
. "$lib/registry.bash"
. "$lib/cosign.bash"
put_image v1
image=$(digest <amd64.json)
sign "$address/example/app@$image"
names() {
    curl --silent -H "Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json" \
        "http://$address/v2/$1/manifests/sha256-${image#*:}" >named
    if [ "$(digest <named)" = "$image" ]; then echo "the image"; else grep -q '"manifests"' named && echo "a list"; fi
}
{
    echo "source: $(verify "$address/example/app@$image")"
    code=0
    ./cosign copy "$address/example/app@$image" "$address/example/copy:v1" >copy.log 2>&1 || code=$?
    echo "copy: exit code $code"
    echo "its signature: $(verify "$address/example/copy@$image")"
    echo "sha256-HEX of the source names $(names example/app), of the copy $(names example/copy)"
} | check
