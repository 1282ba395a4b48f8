#!/usr/bin/env bash
# Tool: docker-registry 2.8.2 (Debian 12 package 2.8.2+ds1-1).
# Expected: GET /v2/NAME/tags/list?n=2 gives two tags and a Link to the next page, as the registry's
# own API description and the distribution-spec ("Listing Tags") say. n=0 gives none.
# Does: n is not read. All tags come at once, without a Link, also for n=0.
# Output seen:
#   n=2: 12 tags, Link: none
#   n=0: 12 tags, Link: none
#   after tag05: a list for last=tag05 has tag01
# Why it matters: a client that asks for one tag to see whether a repository is empty loads all of them. One that goes
# on with last=TAG until a page is empty never ends.

. "$(dirname "$0")/lib/common.bash"
. "$lib/registry.bash"
for number in $(seq -w 12); do put_manifest "tag$number"; done
list() { curl --silent --include "$registry/tags/list?$1" >answer; }
page() {
    list "$1"
    local link
    link=$(field Link <answer)
    echo "$1: $(grep -o '"tag[0-9]*"' answer | wc -l) tags, Link: ${link:-none}"
}
{
    page n=2
    page n=0
    list 'n=2&last=tag05'
    echo "after tag05: a list for last=tag05 has $(grep -o tag01 answer)"
} | check
