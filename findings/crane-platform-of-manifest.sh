#!/usr/bin/env bash
# Tool: crane 0.20.7 (Go module github.com/google/go-containerregistry).
# Expected: --platform "specifies the platform in the form os/arch". An image that has no such platform is an error,
# whether its tag names an index or a manifest.
# Does: the platform is looked up in an index only. A manifest is taken as it is, and its configuration is not read.
# Output seen:
#   index, linux/riscv64: exit code 1
#   manifest of linux/amd64, linux/riscv64: exit code 0
#   digest printed: that of linux/amd64
# Why it matters: a script that collects a digest for each platform gets the same one for all of them when the image was
# built for one platform, and a deployment to the other fails at its start.

. "$(dirname "$0")/lib/common.bash"
. "$lib/registry.bash"
crane_0_20_7
put_image v1
ask() {
    code=0
    ./crane digest --platform linux/riscv64 "$address/example/app:$1" >seen.digest 2>log || code=$?
    echo "exit code $code"
}
{
    echo "index, linux/riscv64: $(ask v1)"
    echo "manifest of linux/amd64, linux/riscv64: $(ask amd64)"
    [ "$(cat seen.digest)" = "$(digest <amd64.json)" ] && echo "digest printed: that of linux/amd64"
} | check
