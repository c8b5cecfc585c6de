#!/bin/bash
# Makes a signed apt repository of the packages in a directory. Needs dpkg-deb and gpg, no apt.
# usage: APT_KEY=KEY tools/apt-repo.sh DIRECTORY-OF-PACKAGES REPOSITORY
#
# KEY is what gpg takes for --local-user: a fingerprint or an address of a secret key in its key ring (GNUPGHOME). The
# repository is made anew each time: older packages that it shall keep belong into the directory of packages too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
packages=$1 repository=$2
suite=stable component=main architectures=(arm64 armhf amd64)

for program in dpkg-deb gpg gzip; do
	command -v "$program" >/dev/null || { echo "$program is not installed; on Debian: apt install ${program/dpkg-deb/dpkg}" >&2; exit 1; }
done
[ -n "${APT_KEY:-}" ] || { echo "APT_KEY names no key to sign with; gpg --list-secret-keys lists them" >&2; exit 2; }
shopt -s nullglob
debs=("$packages"/*.deb)
((${#debs[@]})) || { echo "there are no packages in $packages; make deb makes them" >&2; exit 1; }

# Put together beside its place and then moved there, so that nobody sees half of it.
mkdir -p "$(dirname "$repository")"
new=$(mktemp -d "$repository.XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 0755 "$new"
umask 022
dist=dists/$suite

for architecture in "${architectures[@]}"; do
	mkdir -p "$new/$dist/$component/binary-$architecture"
	: >"$new/$dist/$component/binary-$architecture/Packages"
done
for deb in "${debs[@]}"; do
	name=$(dpkg-deb -f "$deb" Package)
	architecture=$(dpkg-deb -f "$deb" Architecture)
	index=$new/$dist/$component/binary-$architecture/Packages
	[ -f "$index" ] || { echo "$deb is for $architecture, and the repository is not" >&2; exit 1; }
	pool=pool/$component/${name:0:1}/$name
	install -D -m 0644 -t "$new/$pool" "$deb"
	# The description stands last in ours, and may have lines of any form: what is added goes in front of it.
	fields="Filename: $pool/${deb##*/}\nSize: $(stat -c %s "$deb")\nMD5sum: $(md5sum <"$deb" | cut -d' ' -f1)\nSHA256: $(sha256sum <"$deb" | cut -d' ' -f1)"
	{
		dpkg-deb -f "$deb" | sed "/^Description:/i $fields"
		echo
	} >>"$index"
done
for index in "$new/$dist/$component"/*/Packages; do gzip -9nk "$index"; done

cd "$new/$dist"
{
	cat <<END
Origin: latchd
Label: latchd
Suite: $suite
Codename: $suite
Date: $(LC_ALL=C date -u '+%a, %d %b %Y %H:%M:%S UTC')
Architectures: ${architectures[*]}
Components: $component
Description: latchd, latchctl and latchhub
SHA256:
END
	find "$component" -type f | LC_ALL=C sort | while read -r file; do
		printf ' %s %d %s\n' "$(sha256sum <"$file" | cut -d' ' -f1)" "$(stat -c %s "$file")" "$file"
	done
} >../Release.new
mv ../Release.new Release
sign=(gpg --batch --yes --quiet --local-user "$APT_KEY" --digest-algo SHA512 --armor)
"${sign[@]}" --clearsign --output InRelease Release
"${sign[@]}" --detach-sign --output Release.gpg Release
cd "$OLDPWD"
# Binary, because apt takes an armoured key only under another name.
gpg --batch --export "$APT_KEY" >"$new/latchd-archive-keyring.gpg"

rm -rf "$repository"
mv "$new" "$repository"
echo "$repository"
