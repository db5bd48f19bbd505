#!/usr/bin/env bash
# Score more than the quick tier, and build the site of it and of the committed trials:
#     scripts/ci/board.sh OUT
# BENCH_ARGS says what is run, in place of the standard tier.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

out=${1:?a folder for the site}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A technique that breaks is a result, and no reason to publish nothing.
make bench BENCH_ARGS="--bench-store=$work/store.sqlite3 ${BENCH_ARGS:---bench-tier=standard}" || [[ $? -eq 2 ]]
.venv/bin/interp-bench export --store "$work/store.sqlite3" --out "$work/fresh"
.venv/bin/python scripts/ci/merge_trials.py "$work/trials" leaderboard/trials "$work/fresh"
.venv/bin/interp-bench board show --trials "$work/trials"
scripts/ci/site.sh "$out" "$work/trials"
