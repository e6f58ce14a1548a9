#!/usr/bin/env bash
# The main job, step by step: train an adapter, deploy it by the dev stack, ask it. `make demo` sets up and runs this.
set -euo pipefail
cd "$(dirname "$0")/.."
adapter=${ADAPTER:-adapters/support-tone}
question=${QUESTION:-Where is my parcel?}
export PATH="$PWD/.venv/bin:$PATH"

# Show a command as a person would type it, then run it.
step() {
  local word line='$'
  for word in "$@"; do
    case $word in *[[:space:]]*) line+=" \"$word\"" ;; *) line+=" $word" ;; esac
  done
  printf '\n\033[1m%s\033[0m\n' "$line" >&2
  "$@"
}

step takeover train training/configs/quickstart.yaml --data examples/support-tone/train.jsonl \
  --eval-data examples/support-tone/eval.jsonl --out "$adapter" --resume

if takeover engine where >/dev/null 2>&1; then
  where=(--stack dev)
  step takeover up --stack dev
else
  echo "No Pulumi engine can be had here: going on without one (no state, no preview, no refresh)." >&2
  where=(--outputs build/endpoint.json)
  step takeover deploy --provider local --adapter "$adapter" --outputs build/endpoint.json
fi

step takeover ask "$question" "${where[@]}" --beside-base --max-tokens 80
step takeover outputs "${where[@]}"
cat >&2 <<END

The endpoint goes on running. Ask it something:      .venv/bin/takeover ask "..." ${where[*]}
See what training did:                               $adapter/report/
Take everything down again:                          make down
END
