#!/usr/bin/env bash
# Tool: kubeconform 0.7.0 (Go module github.com/yannh/kubeconform).
# Expected: a schema that is found and cannot be used is an error of its own. -ignore-missing-schemas is about schemas
# that do not exist.
# Does: a schema with a regular expression of ECMA-262 that Go does not have (a look-behind) is reported as not found.
# With -ignore-missing-schemas the resource is skipped, and the exit code is 0.
# Output seen:
#   schema without a pattern: exit code 1, got string, want object
#   schema with a look-behind: exit code 1, could not find schema for ConfigMap
#   the same with -ignore-missing-schemas: exit code 0, ConfigMap skipped
# Why it matters: one pattern in the schema of a custom resource turns off its validation in a pipeline that ignores
# missing schemas, as most do that have custom resources. "data: text" below is not noticed any more.

. "$(dirname "$0")/lib/common.bash"
command -v go >go.log || missing "go is not here"
GOBIN=$work GOFLAGS=-modcacherw go install github.com/yannh/kubeconform/cmd/kubeconform@v0.7.0 2>go.log ||
    missing "$(cat go.log)"
printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app}\ndata: text\n' >app.yaml
conform() {
    code=0
    ./kubeconform -verbose -schema-location '{{.ResourceKind}}.json' "$@" app.yaml >log || code=$?
    echo "exit code $code, $(grep -o 'got string, want object\|could not find schema for ConfigMap\|ConfigMap skipped' log)"
}
{
    printf '{"properties":{"data":{"type":"object"}}}' >configmap.json
    echo "schema without a pattern: $(conform)"
    printf '{"properties":{"data":{"type":"object"},"kind":{"pattern":"(?<!x)Map"}}}' >configmap.json
    echo "schema with a look-behind: $(conform)"
    echo "the same with -ignore-missing-schemas: $(conform -ignore-missing-schemas)"
} | check
