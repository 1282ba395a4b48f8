#!/usr/bin/env bash
# Tool: Podman 4.3.1 (Debian 12 package 4.3.1+ds1-8+deb12u1+b3), run as root.
# Expected: "podman load -i" reads the folder that "podman save --format oci-dir" wrote, under any name.
# Does: it forms an image name from the folder's path. Where the path holds an upper-case letter, that name is
# invalid, and loading fails. The last line of the message speaks of a missing manifest.json.
# Output seen:
#   saved as layout, loaded: yes
#   renamed to Layout, loaded: no
#   reason: invalid reference format: repository name must be lowercase
#   last line: dir: open Layout/manifest.json: no such file or directory
# Why it matters: folders made by mktemp and home folders often hold upper-case letters. A script that hands an
# OCI layout to Podman fails on one run and works on the next. An archive (tar) of the layout always loads.

. "$(dirname "$0")/lib/common.bash"
. "$lib/podman.bash"
save layout

# Loads the folder $1 and prints whether that worked: `attempt FOLDER TEXT`.
attempt() {
    if load "$1" >log; then echo "$2, loaded: yes"; else echo "$2, loaded: no"; fi
}

{
    attempt layout "saved as layout"
    mv layout Layout
    attempt Layout "renamed to Layout"
    sed -n 's/.*oci: .*\(invalid reference format.*\)/reason: \1/p' log
    sed -n '$s/^ *\* /last line: /p' log
} | check
