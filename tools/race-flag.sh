#!/bin/sh
# Prints -race where the race detector works, and nothing, with the reason on standard error, where it does not:
# it needs a C compiler, one of a few processors, and on arm64 an address space that not every kernel has.
# Trying it is the only test that covers all of these.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
printf 'package main\n\nfunc main() {}\n' >"$dir/main.go"
if said=$("${GO:-go}" run -race "$dir/main.go" 2>&1); then
	echo -race
else
	printf '%s\n' "The tests run WITHOUT the race detector, which does not work here:" "$said" \
		"(On Debian: sudo apt install gcc libc6-dev.)" >&2
fi
