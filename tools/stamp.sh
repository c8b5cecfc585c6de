#!/bin/sh
# Prints the linker flags that stamp version, commit and date into internal/version.
# The date is the commit's, so the same commit gives the same bytes; a tree without git gets a version that says so.
# LATCHD_VERSION in the environment is the version in place of the tag's.
set -eu
cd "$(dirname "$0")/.."

version=0.0.0-dev commit='' date=''
# The empty prefix tells our own repository from one that this tree was merely unpacked in.
if prefix=$(git rev-parse --show-prefix 2>/dev/null) && [ -z "$prefix" ] && commit=$(git rev-parse --verify --quiet HEAD); then
	date=$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ)
	if described=$(git describe --tags --match 'v[0-9]*' --dirty 2>/dev/null); then
		# v1.2.0-3-g1a2b3c4-dirty becomes 1.2.0+3.g1a2b3c4.dirty: later than 1.2.0, where a hyphen would mean earlier.
		version=$(printf '%s\n' "$described" | sed -e 's/^v//' -e 's/-\([0-9][0-9]*\)-g\([0-9a-f]*\)/+\1.g\2/' -e '/+/s/-dirty$/.dirty/' -e 's/-dirty$/+dirty/')
	else
		version=$version+g$(git describe --always --dirty | sed 's/-dirty$/.dirty/')
	fi
fi
version=${LATCHD_VERSION:-$version}

p=latchd/internal/version
echo "-X $p.Version=$version -X $p.Commit=$commit -X $p.Date=$date"
