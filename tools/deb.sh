#!/bin/bash
# Packs one program into a Debian package, as packaging/PROGRAM/files says. No root, no debhelper; the same commit gives
# the same bytes. usage: tools/deb.sh PROGRAM DEBIAN-ARCHITECTURE DIRECTORY-OF-PROGRAMS OUTPUT-DIRECTORY
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=$1 architecture=$2 build=$3 out=$4
packaging=packaging/$program

command -v dpkg-deb >/dev/null || { echo "dpkg-deb is not installed: packages are made on Debian or Ubuntu, or with their package dpkg" >&2; exit 1; }
case $architecture in
arm64) goarch=arm64 ;;
armhf) goarch=arm ;;
amd64) goarch=amd64 ;;
*) echo "there are no programs for $architecture" >&2; exit 2 ;;
esac

umask 022
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date -r CHANGELOG.md +%s)}
export SOURCE_DATE_EPOCH
version=$(tools/deb-version.sh)
maintainer=$(sed -n 's/^Maintainer: //p' "$packaging/control")

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 0755 "$root"

# gzip -n leaves the name and the time out.
put() { # MODE PATH SOURCE
	case $2 in
	usr/share/man/*) install -D -m "$1" <(gzip -9n <"$3") "$root/$2.gz" ;;
	*) install -D -m "$1" "$3" "$root/$2" ;;
	esac
}
while read -r mode path source; do
	case $mode in '' | '#'*) continue ;; esac
	put "$mode" "$path" "${source/#BUILD/"$build"}"
done <"$packaging/files"

doc=$root/usr/share/doc/$program
install -d "$doc"
tools/deb-changelog.sh "$program" "$version" "$maintainer" >"$doc/changelog"
gzip -9n "$doc/changelog"
tools/deb-licences.sh "$program" "$goarch" >"$doc/copyright"

install -d "$root/DEBIAN"
for script in preinst postinst prerm postrm; do
	if [ -f "$packaging/$script" ]; then install -m 0755 "$packaging/$script" "$root/DEBIAN/"; fi
done
cd "$root"
# What is in /etc belongs to the administrator, who changes it: it has no checksum, as with debhelper.
if [ -d etc ]; then find etc -type f -printf '/%p\n' | LC_ALL=C sort >DEBIAN/conffiles; fi
find . -path ./DEBIAN -prune -o -path ./etc -prune -o -type f -printf '%P\0' | LC_ALL=C sort -z | xargs -0 md5sum >DEBIAN/md5sums
# As dpkg-gencontrol counts: whole kilobytes of each file, one for anything else.
size=$(find . -path ./DEBIAN -prune -o -type f -printf '%s\n' -o -printf '1\n' | awk '{ k += $1 == 1 ? 1 : int(($1 + 1023) / 1024) } END { print k }')
cd "$OLDPWD"
sed -e "/^Package:/a Version: $version\nArchitecture: $architecture\nInstalled-Size: $size" "$packaging/control" >"$root/DEBIAN/control"
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$out"
package=$out/${program}_${version}_$architecture.deb
# One thread, because xz cuts its work by the number of processors.
dpkg-deb --root-owner-group --threads-max=1 -Zxz -z9 --build "$root" "$package" >/dev/null

# A Raspberry Pi fetches it over whatever network the door has.
max_latchd=$((3 * 1000 * 1000))
if [ "$program" = latchd ] && (($(stat -c %s "$package") > max_latchd)); then
	echo "$package has more than $max_latchd bytes" >&2
	exit 1
fi
echo "$package"
