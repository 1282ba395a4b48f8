#!/usr/bin/env bash
# Tool: act 0.2.89 (Go module github.com/nektos/act), which runs GitHub's workflows on one machine.
# Expected: a run without a required input does not start (GitHub's documentation, "on.workflow_dispatch.inputs":
# `required` says that the input must be supplied).
# Does: the run starts, and the input is empty. A default of another input is filled in.
# Output seen:
#   image is [], environment is [staging]
#   exit code 0
# Why it matters: a workflow that passes under act may depend on an input that is empty there. Each step has to refuse an
# empty input itself.

. "$(dirname "$0")/lib/common.bash"
. "$lib/act.bash"
cat >project/.github/workflows/promote.yml <<'YML'
on:
  workflow_dispatch:
    inputs:
      image: { type: string, required: true }
      environment: { type: string, default: staging }
jobs:
  promote:
    runs-on: ubuntu-24.04
    steps:
      - run: 'echo "said: image is [${{ inputs.image }}], environment is [${{ inputs.environment }}]"'
YML
echo '{"ref": "refs/heads/main", "inputs": {}}' >event.json
code=0
{
    act ../event.json
    echo "exit code $code"
} | check
