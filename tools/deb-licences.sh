#!/bin/sh
# Prints Debian's copyright file of PROGRAM, built for ARCH: ours, and that of each library that is linked into it,
# from the library's own files. usage: tools/deb-licences.sh PROGRAM ARCH
set -eu
cd "$(dirname "$0")/.."
program=$1 arch=$2
go=${GO:-go}

cat <<END
$program is part of latchd, Copyright the authors of latchd.

    Licensed under the Apache License, Version 2.0 (the "License"); you may not
    use this file except in compliance with the License. Unless required by
    applicable law or agreed to in writing, software distributed under the
    License is distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS
    OF ANY KIND, either express or implied. See the License for the specific
    language governing permissions and limitations under the License.

On Debian systems the License is in /usr/share/common-licenses/Apache-2.0.

It is linked statically with Go's runtime and library, and with the libraries
that follow. Each has its own licence.
END

heading() {
	printf '\n----------------------------------------------------------------------\n%s\n\n' "$1"
}

# Debian has the text of this licence once for all.
is_apache() {
	grep -q 'Apache License' "$1" && grep -q 'TERMS AND CONDITIONS FOR USE, REPRODUCTION' "$1"
}

# A library under two licences at our choice is used under the one that asks for less: of paho's that is edl-v10.
texts() {
	if [ -f "$1/edl-v10" ]; then
		printf '%s\n' "$1/edl-v10" "$1/NOTICE.md"
		return
	fi
	find "$1" -maxdepth 1 -type f \( -iname 'licen[sc]e*' -o -iname 'copying*' -o -iname 'notice*' -o -iname 'patents*' -o -iname authors \) \
		! -iname '*logo*' | LC_ALL=C sort
}

library() { # NAME DIRECTORY
	heading "$1"
	files=$(texts "$2")
	[ -n "$files" ] || { echo "$0: $1 has no licence that could be shipped" >&2; exit 1; }
	printf '%s\n' "$files" | while read -r file; do
		printf '%s:\n\n' "${file##*/}"
		if is_apache "$file"; then
			echo "    Apache License, Version 2.0: /usr/share/common-licenses/Apache-2.0"
		else
			tr -d '\r' <"$file" | LC_ALL=C tr -d '\f' | sed -e 's/^/    /' -e 's/[[:space:]]*$//'
		fi
		echo
	done
}

library "Go $($go env GOVERSION)" "$($go env GOROOT)"
# A file and not a pipe, so that a library without a licence ends this.
modules=$(mktemp)
trap 'rm -f "$modules"' EXIT
GOOS=linux GOARCH=$arch GOARM=6 CGO_ENABLED=0 $go list -deps \
	-f '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}} {{.Dir}}{{end}}{{end}}' "./cmd/$program" | LC_ALL=C sort -u >"$modules"
while read -r path version dir; do
	library "$path $version" "$dir"
done <"$modules"
