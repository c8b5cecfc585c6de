#!/bin/bash
# Packs the programs that are built for the architectures (arm64 unless given) and checks the packages: the same bytes
# when packed again, an apt repository that apt takes, no error and no warning of lintian's, units that systemd
# understands, and the sandbox of each unit.
# What is not installed is left out, and named. usage: tools/check-packages.sh [ARCHITECTURE...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

architectures=("${@:-arm64}")
# As systemd-analyze counts, times ten: 0 is no exposure, 100 is all.
max_exposure=15

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
fail() {
	printf '%s\n' "$*" >&2
	exit 1
}

check_unit() { # PROGRAM UNIT
	local unit=packaging/$1/$2.service
	# The programs need not be installed here; verify only wants to see that there is one.
	sed -E -e "s#^(Exec[A-Za-z]*)=/usr/(bin|lib)/$1.*#\1=/bin/true#" -e '/^Documentation=/d' "$unit" >"$scratch/$2.service"
	local said
	said=$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no --recursive-errors=no "$scratch/$2.service" 2>&1) || fail "$unit: $said"
	[ -z "$said" ] || fail "$unit: $said"
	systemd-analyze security --offline=true --no-pager --threshold=$max_exposure "$unit" >"$scratch/security" ||
		fail "$unit: the sandbox is weaker than $max_exposure/10:" "$(cat "$scratch/security")"
	tail -n 1 "$scratch/security"
}

if command -v systemd-analyze >/dev/null; then
	check_unit latchd latchd
	check_unit latchd latchd-relock
	check_unit latchd latchd-credentials
	check_unit latchhub latchhub
else
	echo "systemd-analyze is not installed: the units are not checked"
fi

if ! command -v dpkg-deb >/dev/null; then
	echo "dpkg-deb is not installed: the packages are not checked"
	exit
fi
packages=()
for architecture in "${architectures[@]}"; do
	case $architecture in
	armhf) programs=build/linux-arm ;;
	*) programs=build/linux-$architecture ;;
	esac
	for program in latchd latchctl latchhub; do
		package=$(tools/deb.sh "$program" "$architecture" "$programs" "$scratch/packages")
		again=$(tools/deb.sh "$program" "$architecture" "$programs" "$scratch/again")
		cmp "$package" "$again" || fail "$package: packing it again gives other bytes"
		printf '%9d bytes  %s\n' "$(stat -c %s "$package")" "${package##*/}"
		packages+=("$package")
	done
done

if [ -f "$(echo "$scratch"/packages/latchd_*_arm64.deb)" ]; then
	tools/check-apt-repo.sh "$scratch/packages"
fi

if command -v lintian >/dev/null; then
	options=(--fail-on 'error,warning')
	((EUID != 0)) || options+=(--allow-root)
	lintian "${options[@]}" "${packages[@]}" || fail "lintian complains"
else
	echo "lintian is not installed: the packages are checked without it"
fi
