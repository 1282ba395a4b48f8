#!/usr/bin/env bash
# Tool: Podman 4.3.1 (Debian 12 package 4.3.1+ds1-8+deb12u1+b3), run as root.
# Expected: the annotation org.opencontainers.image.ref.name of a layout is a tag, as in the text of its
# definition, and as Skopeo reads and writes it. With io.containerd.image.name beside it, both say the same.
# Does: "podman load" takes the annotation for the name of the image and adds the tag latest. With
# io.containerd.image.name beside it, that one decides and the other is ignored.
# Output seen:
#   ref.name v3: Loaded image: localhost/v3:latest
#   ref.name b.example/app:2: Loaded image: b.example/app:2
#   ref.name v3, image.name a.example/app:1: Loaded image: a.example/app:1
# Why it matters: an image that a build tool wrote as tag v3 appears under the name v3. Two images with the same
# tag replace each other. A layout that Podman, Docker and Skopeo shall read needs both annotations.

. "$(dirname "$0")/lib/common.bash"
. "$lib/podman.bash"
save layout

# Packs the layout with the given annotations of its one image and loads it.
load_as() {
    python3 - "$@" <<'EOF'
import json, sys
index = json.load(open("layout/index.json"))
index["manifests"][0]["annotations"] = dict(pair.split("=") for pair in sys.argv[1:])
json.dump(index, open("layout/index.json", "w"))
EOF
    tar -C layout -cf layout.tar .
    load layout.tar
    podman rmi --all --force >rmi.log 2>&1
}

ref=org.opencontainers.image.ref.name
{
    echo "ref.name v3: $(load_as $ref=v3)"
    echo "ref.name b.example/app:2: $(load_as $ref=b.example/app:2)"
    echo "ref.name v3, image.name a.example/app:1: $(load_as $ref=v3 io.containerd.image.name=a.example/app:1)"
} | check
