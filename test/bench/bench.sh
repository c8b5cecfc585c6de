#!/usr/bin/env bash
# Measures latchd beside the official Node device SDK, which is the one that
# the interoperability tests use. Arguments go to the benchmark: -rounds N,
# -calls N.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

../interop/install.sh
modules=$(cd ../interop/node_modules && pwd)

# In this directory, and not by its name from another, the output comes as it is made.
exec "${GO:-go}" test -count=1 -timeout 60m -run '^TestBench$' -measure -modules "$modules" "$@"
