#!/usr/bin/env bash
# Score the techniques that a pull request adds or changes, into the folder OUT (table.txt, number).
#     BASE: commit that it is based on.   NUMBER: of the pull request.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

out=${OUT:-technique-table}
changed=$(python3 scripts/ci/changed_techniques.py "${BASE:?}" HEAD)
if [[ -z $changed ]]; then
  echo "no technique is added or changed"
  exit 0
fi
mapfile -t names <<< "$changed"
echo "added or changed: ${names[*]}"
mkdir -p "$out"
printf '%s\n' "${NUMBER:?}" > "$out/number"
scripts/ci/technique_table.sh "$out" "${names[@]}"
