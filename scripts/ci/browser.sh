#!/usr/bin/env bash
# Put a Chromium on this machine where there is none, for the tests of the site in a browser. Where it cannot,
# it says so, and these tests are skipped with the reason.
set -euo pipefail

for name in chromium chromium-browser google-chrome-stable google-chrome; do
  if command -v "$name" > /dev/null; then
    exit 0
  fi
done
if [[ $(id -u) -eq 0 ]] && command -v apt-get > /dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  if apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium > /dev/null; then
    exit 0
  fi
fi
echo "no Chromium can be installed here: tests of the site in a browser will be skipped" >&2
