#!/usr/bin/env bash
# Lint, types and tests, as on a clean checkout.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
exec make test
