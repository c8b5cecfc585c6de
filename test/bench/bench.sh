#!/usr/bin/env bash
# Installs the official Node device SDK as the lock file has it, and measures.
# Arguments go to the benchmark: -rounds N, -calls N.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

for program in node npm; do
	if ! command -v "$program" >/dev/null; then
		echo "make bench needs $program: Node.js 18 or newer with npm (apt install nodejs npm, or https://nodejs.org)" >&2
		exit 1
	fi
done

# Beneath build/, where nothing of ours is looked for.
into=../../build/bench
if ! cmp -s package-lock.json "$into/package-lock.json" || [[ ! -e $into/installed ]]; then
	rm -rf "$into"
	mkdir -p "$into"
	cp package.json package-lock.json "$into/"
	npm ci --prefix "$into" --ignore-scripts --no-audit --no-fund
	touch "$into/installed"
fi
modules=$(cd "$into/node_modules" && pwd)

# In this directory, and not by its name from another, the output comes as it is made.
exec "${GO:-go}" test -count=1 -timeout 60m -run '^TestBench$' -measure -modules "$modules" "$@"
