#!/usr/bin/env bash
# Tool: oras 1.3.6 (Go module oras.land/oras).
# Expected: a name that `oras repo tags --oci-layout` lists can be given back to oras as PATH:NAME.
# Does: PATH:NAME is split at the last colon. A whole image name, as Docker and containerd read it from the annotation
# org.opencontainers.image.ref.name, is listed and cannot be used; a tag alone can.
# Output seen:
#   names: a.example/one:1 short
#   layout:short is found
#   layout:a.example/one:1 fails: failed to find path "layout:a.example/one"
#   layout@sha256:… is found
# Why it matters: a layout that Docker loads under its name is read by oras by digest alone.

. "$(dirname "$0")/lib/common.bash"
. "$lib/layout.bash"
command -v go >go.log || missing "go is not here"
GOBIN=$work GOFLAGS=-modcacherw go install oras.land/oras/cmd/oras@v1.3.6 2>go.log || missing "$(cat go.log)"
first=$(image amd64)
add_name "$first" a.example/one:1
add_name "$first" short
resolve() { # NAME SHOWN
    if ./oras resolve --oci-layout "$1" >oras.log 2>&1; then
        echo "$2 is found"
    else
        echo "$2 fails: $(grep -o 'failed to find path "[^"]*"' oras.log)"
    fi
}
{
    echo "names: $(./oras repo tags --oci-layout layout | sort | tr '\n' ' ' | sed 's/ $//')"
    resolve layout:short layout:short
    resolve layout:a.example/one:1 layout:a.example/one:1
    resolve "layout@sha256:$first" "layout@sha256:…"
} | check
