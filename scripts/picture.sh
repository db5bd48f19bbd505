#!/usr/bin/env bash
# Takes the picture of the site's first page that the README shows: scripts/picture.sh [FILE]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

out=${1:-leaderboard/board.png}
browser=$(command -v chromium || command -v chromium-browser) || {
  echo "picture: there is no chromium; install it with: scripts/ci/browser.sh" >&2
  exit 1
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

.venv/bin/interp-bench board build --out "$work/site"
"$browser" --headless --no-sandbox --hide-scrollbars --user-data-dir="$work/profile" --window-size=1400,1000 \
  --screenshot="$work/board.png" "file://$work/site/index.html" 2> "$work/said"
mv "$work/board.png" "$out"
echo "$out written"
