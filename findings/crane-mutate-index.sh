#!/usr/bin/env bash
# Tool: crane 0.20.7 (Go module github.com/google/go-containerregistry).
# Expected: "crane mutate --label" of an image for several platforms changes each platform's configuration, or is
# refused, as "crane mutate --annotation" is.
# Does: it takes the image for linux/amd64 out of the index, changes that one, and pushes it under the tag. The other
# platforms are no longer under the tag. The exit code is 0.
# Output seen:
#   before: index, linux/amd64 and linux/arm64
#   mutate --annotation: exit code 1, mutating annotations on an index is not yet supported
#   mutate --label: exit code 0
#   after: manifest, amd64
# Why it matters: without --tag the changed image replaces the tag, and whoever pulls it on arm64 gets a program that
# does not run.

. "$(dirname "$0")/lib/common.bash"
. "$lib/registry.bash"
crane_0_20_7
put_image v1
image=$address/example/app:v1
mutate() {
    code=0
    ./crane mutate "$@" "$image" >log 2>&1 || code=$?
    echo "mutate ${1%%=*}: exit code $code$(sed -n 's/^Error: /, /p' log)"
}
{
    echo "before: index, $(./crane manifest "$image" | grep -o '"architecture":"[a-z0-9]*"' | cut -d '"' -f 4 |
        sed 's|^|linux/|' | paste -sd ' ' | sed 's/ / and /')"
    mutate --annotation=a=b
    mutate --label=a=b
    ./crane manifest "$image" | grep -q '"manifests"' || kind=manifest
    echo "after: ${kind:-index}, $(./crane config "$image" | grep -o 'a[mr][dm]64')"
} | check
