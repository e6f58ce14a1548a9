#!/usr/bin/env bash
# Take down whatever `make demo` put up, by either of its two ways. Nothing up is a success.
set -euo pipefail
cd "$(dirname "$0")/.."
[ -x .venv/bin/takeover ] || { echo "Nothing is set up here, so nothing is up."; exit 0; }
export PATH="$PWD/.venv/bin:$PATH"
if [ -f build/endpoint.json ]; then takeover destroy --outputs build/endpoint.json; fi
if [ -d .takeover/state ] || [ -n "${PULUMI_BACKEND_URL:-}" ]; then takeover destroy --stack dev --yes; fi
