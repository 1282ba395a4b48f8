#!/usr/bin/env bash
# Tool: docker-registry 2.8.2 (Debian 12 package 2.8.2+ds1-1).
# Expected: a chunk that is sent again after a lost answer has the same Content-Range. The registry sees that it has
# these bytes, and answers 416 (distribution-spec, "Pushing a blob in chunks").
# Does: it reads no Content-Range. The chunk is appended a second time with 202, and the upload fails at its end.
# Output seen:
#   chunk 0-3: 202, Range 0-3
#   chunk 0-3 again: 202, Range 0-7
#   end: 400 DIGEST_INVALID
# Why it matters: a client that repeats a chunk spoils the upload and is told so only after the last byte. It has to
# ask for the upload's status before it repeats anything.

. "$(dirname "$0")/lib/common.bash"
. "$lib/registry.bash"
send() {
    curl --silent --include --request PATCH --data-binary abcd -H 'Content-Type: application/octet-stream' \
        -H 'Content-Range: 0-3' "$1" >answer
    echo "$(sed -n '1s/[^ ]* \([0-9]*\).*/\1/p' answer), Range $(field Range <answer)"
}
{
    echo "chunk 0-3: $(send "$(open_upload)")"
    # The URL of an upload says how far it is: the answer that was lost is the one that had the next URL.
    echo "chunk 0-3 again: $(send "$(field Location <answer)")"
    code=$(curl --silent --output end --write-out '%{http_code}' --request PUT \
        "$(field Location <answer)&digest=$(printf abcd | digest)")
    echo "end: $code $(grep -o '[A-Z]*_[A-Z]*' end)"
} | check
