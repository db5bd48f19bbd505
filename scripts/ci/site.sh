#!/usr/bin/env bash
# Build the site from exported trials:
#     scripts/ci/site.sh OUT [TRIALS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

out=${1:?a folder for the site}
trials=${2:-leaderboard/trials}
if ! .venv/bin/python -c 'import altair, jinja2, vl_convert' 2> /dev/null; then
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -e '.[site]'
fi
.venv/bin/interp-bench board build --trials "$trials" --out "$out"
