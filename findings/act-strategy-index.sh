#!/usr/bin/env bash
# Tool: act 0.2.89 (Go module github.com/nektos/act), which runs GitHub's workflows on one machine.
# Expected: in a job of a matrix, strategy.job-index and strategy.job-total are numbers, and a condition that compares
# them holds for one job (GitHub's documentation, "strategy context").
# Does: both are empty. An empty text equals 0 in a condition, so a step for the first job runs in every job. fail-fast and
# max-parallel have their values.
# Output seen:
#   job a is the first
#   job a: index [], total [], fail-fast [true]
#   job b is the first
#   job b: index [], total [], fail-fast [true]
# Why it matters: a step that is to run once for the whole matrix, such as an upload, runs once for each job.

. "$(dirname "$0")/lib/common.bash"
. "$lib/act.bash"
cat >project/.github/workflows/build.yml <<'YML'
on: workflow_dispatch
jobs:
  build:
    runs-on: ubuntu-24.04
    strategy:
      matrix: { name: [a, b] }
    steps:
      - run: 'echo "said: job ${{ matrix.name }}: index [${{ strategy.job-index }}], total [${{ strategy.job-total }}], fail-fast [${{ strategy.fail-fast }}]"'
      - if: strategy.job-index == 0
        run: 'echo "said: job ${{ matrix.name }} is the first"'
YML
echo '{"ref": "refs/heads/main"}' >event.json
code=0
act ../event.json | LC_ALL=C sort | check
