#!/usr/bin/env bash
# Tool: cosign 3.1.1 (Debian package 3.1.1-2, or Go module github.com/sigstore/cosign/v3), with docker-registry 2.8.2,
# which has no referrers API.
# Expected: the entry in the list under sha256-HEX has the artifact type and the annotations of the signature's manifest
# (distribution-spec 1.1, "Pushing Manifests with Subject").
# Does: the entry has the type of the manifest's empty configuration and no annotations. The manifest names its type in
# two places: its own artifactType, and an artifactType in the descriptor of its configuration.
# Output seen:
#   manifest: application/vnd.dev.sigstore.bundle.v0.3+json
#   its configuration: application/vnd.oci.empty.v1+json, artifactType application/vnd.dev.sigstore.bundle.v0.3+json
#   annotations of the manifest: 3
#   entry in the list: application/vnd.oci.empty.v1+json
#   annotations of the entry: 0
# Why it matters: a client that filters the list by artifact type finds no signature. It has to read each manifest whose
# entry has the empty type.

. "$(dirname "$0")/lib/common.bash"
. "$lib/registry.bash"
. "$lib/cosign.bash"
put_image v1
image=$(digest <amd64.json)
sign "$address/example/app@$image"
accept="Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json"
curl --silent -H "$accept" "$registry/manifests/sha256-${image#*:}" >list.json
of() { python3 -c "import json,sys; d = json.load(open('$1')); print($2)"; }
curl --silent -H "$accept" "$registry/manifests/$(of list.json 'd["manifests"][0]["digest"]')" >manifest.json
{
    echo "manifest: $(of manifest.json 'd["artifactType"]')"
    echo "its configuration: $(of manifest.json 'd["config"]["mediaType"] + ", artifactType " + d["config"]["artifactType"]')"
    echo "annotations of the manifest: $(of manifest.json 'len(d["annotations"])')"
    echo "entry in the list: $(of list.json 'd["manifests"][0]["artifactType"]')"
    echo "annotations of the entry: $(of list.json 'len(d["manifests"][0].get("annotations", {}))')"
} | check
