#!/usr/bin/env bash
# Tool: docker-registry 2.8.2 (Debian 12 package 2.8.2+ds1-1).
# Expected: a request without the field Accept takes any media type (RFC 9110, section 12.5.1). The manifest comes, as
# its tag is in the list.
# Does: curl's "Accept: */*" and no Accept at all get 404 MANIFEST_UNKNOWN for an OCI manifest. Only its exact type is
# taken.
# Output seen:
#   listed: v1
#   no Accept: 404 MANIFEST_UNKNOWN
#   Accept */*: 404 MANIFEST_UNKNOWN
#   Accept application/vnd.oci.image.manifest.v1+json: 200
# Why it matters: a check by curl, or a HEAD by a client that leaves Accept out, takes a tag that is there for one that
# is not, and a tool that creates what is missing overwrites it.

. "$(dirname "$0")/lib/common.bash"
. "$lib/registry.bash"
put_manifest v1
get() {
    code=$(curl --silent --output answer --write-out '%{http_code}' -H "Accept:${1:+ $1}" "$registry/manifests/v1")
    echo "$code $(grep -o MANIFEST_UNKNOWN answer)" | sed 's/ $//'
}
{
    echo "listed: $(curl --silent "$registry/tags/list" | grep -o v1)"
    echo "no Accept: $(get '')"
    echo "Accept */*: $(get '*/*')"
    echo "Accept application/vnd.oci.image.manifest.v1+json: $(get application/vnd.oci.image.manifest.v1+json)"
} | check
