#!/usr/bin/env bash
# Tool: docker-registry 2.8.2 (Debian 12 package 2.8.2+ds1-1).
# Expected: the field Range of an upload's status says how much has arrived, so that a client can go on there. An
# upload without a byte and one with a byte differ.
# Does: both answers say 0-0. The end of the range is the last byte, except where there is none.
# Output seen:
#   no byte: Range 0-0
#   1 byte: Range 0-0
#   2 bytes: Range 0-1
# Why it matters: a client that resumes an upload after "0-0" at byte 1 leaves the first byte out, and one that
# resumes at byte 0 sends it twice. It has to start over, or remember whether it has sent anything.

. "$(dirname "$0")/lib/common.bash"
. "$lib/registry.bash"
status() { curl --silent --include "$1" | field Range; }
send() { curl --silent --include --request PATCH --data-binary "$2" -H 'Content-Type: application/octet-stream' "$1"; }
{
    upload=$(open_upload)
    echo "no byte: Range $(status "$upload")"
    upload=$(send "$upload" a | field Location)
    echo "1 byte: Range $(status "$upload")"
    upload=$(send "$upload" b | field Location)
    echo "2 bytes: Range $(status "$upload")"
} | check
