#!/usr/bin/env bash
# Tool: regctl 0.11.7 (Go module github.com/regclient/regclient/cmd/regctl).
# Expected: a layout with the images a.example/one:1 and b.example/two:1 in org.opencontainers.image.ref.name has two
# names, and each can be read (image-spec 1.1, "Image Layout": the grammar of the annotation allows `/` and `:`).
# Does: regctl keeps what is after the last colon. It lists one tag, which is the first entry; the second image can be
# read only by its digest.
# Output seen:
#   tags: 1
#   :1 is the first image
#   :b.example/two:1 is not found
# Why it matters: a copy of "the image :1" from a layout with several repositories takes another one, without a word.

. "$(dirname "$0")/lib/common.bash"
. "$lib/layout.bash"
command -v go >go.log || missing "go is not here"
GOBIN=$work GOFLAGS=-modcacherw go install github.com/regclient/regclient/cmd/regctl@v0.11.7 2>go.log ||
    missing "$(cat go.log)"
export HOME=$work
first=$(image amd64)
second=$(image arm64)
add_name "$first" a.example/one:1
add_name "$second" b.example/two:1
which_image() {
    got=$(./regctl manifest head "ocidir://layout:$1" 2>regctl.log) || got=none
    case $got in
    "sha256:$first") echo ":$1 is the first image" ;;
    "sha256:$second") echo ":$1 is the second image" ;;
    *) echo ":$1 is not found" ;;
    esac
}
{
    echo "tags: $(./regctl tag ls ocidir://layout | tr '\n' ' ' | sed 's/ $//')"
    which_image 1
    which_image b.example/two:1
} | check
