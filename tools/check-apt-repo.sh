#!/bin/bash
# Makes an apt repository of the packages in DIRECTORY, arm64 among them, with a key that is thrown away, and lets apt
# read it, with apt's files elsewhere, so that this machine's configuration has no part in it: apt must take it, refuse
# it without the key, and refuse it when somebody changed a package's entry. usage: tools/check-apt-repo.sh DIRECTORY
set -euo pipefail
packages=$(realpath "$1")
cd "$(dirname "${BASH_SOURCE[0]}")/.."

for program in apt-get gpg; do
	command -v "$program" >/dev/null || { echo "$program is not installed: the apt repository is not checked"; exit 0; }
done
# apt reads as another user, which must get in.
scratch=$(mktemp -d)
chmod 0755 "$scratch"
stop() {
	gpgconf --kill gpg-agent 2>/dev/null || true
	rm -rf "$scratch"
}
trap stop EXIT
export GNUPGHOME=$scratch/gnupg
mkdir -m 0700 "$GNUPGHOME"
gpg --batch --quiet --passphrase '' --quick-generate-key 'thrown away <key@latchd.invalid>' ed25519 sign 1d
APT_KEY=key@latchd.invalid tools/apt-repo.sh "$packages" "$scratch/repository" >/dev/null

mkdir -p "$scratch"/apt/{state/lists/partial,cache/archives/partial,etc/apt.conf.d,etc/preferences.d,etc/trusted.gpg.d}
: >"$scratch/apt/status"
apt() { # SOURCES-OPTIONS COMMAND...
	echo "deb [$1] copy:$scratch/repository stable main" >"$scratch/apt/etc/sources.list"
	shift
	apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::Etc="$scratch/apt/etc" -o Dir::State="$scratch/apt/state" \
		-o Dir::State::status="$scratch/apt/status" -o Dir::Cache="$scratch/apt/cache" -o Dir::Log="$scratch/apt" \
		-o APT::Sandbox::User="$(id -un)" -o APT::Update::Error-Mode=any "$@"
}
fail() {
	cat "$scratch/said" >&2
	echo "$1" >&2
	exit 1
}
signed="signed-by=$scratch/repository/latchd-archive-keyring.gpg"
apt "$signed" update >"$scratch/said" 2>&1 || fail "apt does not take the repository"
for program in latchd latchctl latchhub; do
	(cd "$scratch" && apt "$signed" download "$program") >"$scratch/said" 2>&1 || fail "apt does not get $program"
done
rm -rf "$scratch"/apt/state/lists/*
if apt "" update >"$scratch/said" 2>&1; then fail "apt takes the repository without its key"; fi
rm -rf "$scratch"/apt/state/lists/*
sed -i 's/^Depends: /Depends: anything, /' "$scratch"/repository/dists/stable/main/*/Packages
rm "$scratch"/repository/dists/stable/main/*/Packages.gz
if apt "$signed" update >"$scratch/said" 2>&1; then fail "apt takes a repository that somebody changed"; fi
echo "apt takes the repository, and none that is not signed or was changed"
