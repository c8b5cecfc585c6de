#!/bin/sh
# Prints the version of the packages: that of the programs (stamp.sh), so written that Debian sorts it as it is meant.
set -eu
cd "$(dirname "$0")/.."

version=$(tools/stamp.sh | sed -n 's/.*version\.Version=\([^ ]*\).*/\1/p')
case $version in
0.0.0-dev*)
	# Before the first tag nothing else tells an older commit from a younger one.
	committed=$(TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%dT%H%M%SZ 2>/dev/null) || committed=
	version="0.0.0~dev${committed:+.$committed}${version#0.0.0-dev}"
	;;
esac
# A hyphen would begin a Debian revision, and 1.3.0-rc.1 is earlier than 1.3.0, which only a tilde says.
printf '%s\n' "$version" | tr - '~'
