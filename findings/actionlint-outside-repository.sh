#!/usr/bin/env bash
# Tool: actionlint 1.7.12 (Go module github.com/rhysd/actionlint).
# Expected: the same workflow file gets the same verdict. A call of a reusable workflow that does not exist is
# reported wherever the folder stands.
# Does: the check of local reusable workflows needs a folder .git above the file. Without one it is left out, and
# actionlint ends with 0 and without a word.
# Output seen:
#   without .git: exit code 0
#   with .git: exit code 1, could not read reusable workflow file for "./.github/workflows/missing.yml"
# Why it matters: a source archive, a container's build context and a copy made for a test have no .git. A check
# that runs there passes workflows that fail at the host, so it has to run git init first.

. "$(dirname "$0")/lib/common.bash"
command -v go >go.log || missing "go is not here"
GOBIN=$work GOFLAGS=-modcacherw go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12 2>go.log ||
    missing "$(cat go.log)"
mkdir -p project/.github/workflows
printf 'on: push\njobs:\n  call:\n    uses: ./.github/workflows/missing.yml\n' >project/.github/workflows/call.yml
lint() {
    code=0
    (cd project && ../actionlint .github/workflows/call.yml) >log || code=$?
    echo "$1: exit code $code$(sed -n 's/.*\(could not read .*\): open .*/, \1/p' log)"
}
{
    lint "without .git"
    git init --quiet project
    lint "with .git"
} | check
