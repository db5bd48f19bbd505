#!/usr/bin/env bash
# Score techniques in the quick tier, isolated, and write the table:
#     scripts/ci/technique_table.sh OUT TRACK/NAME...
# OUT/table.txt holds the table, also where techniques broke; then the status is that of pytest.
# BENCH_ARGS narrows the run further.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

out=${1:?a folder for the table}
shift
[[ $# -gt 0 ]] || { echo "technique_table.sh: name a technique" >&2; exit 2; }
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

selection=(--bench-isolate=fresh "--bench-store=$work/store.sqlite3")
for name in "$@"; do
  [[ $name =~ ^[A-Za-z0-9_]+/[A-Za-z0-9_]+$ ]] || { echo "technique_table.sh: no technique: $name" >&2; exit 2; }
  selection+=("--bench-technique=$name")
done

status=0
make bench BENCH_ARGS="${selection[*]} ${BENCH_ARGS:-}" || status=$?
.venv/bin/interp-bench board show --store "$work/store.sqlite3" > "$work/table.txt"
mv "$work/table.txt" "$out/table.txt"
exit "$status"
