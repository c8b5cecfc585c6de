#!/usr/bin/env bash
# Takes what `make fuzz` found into testdata/fuzz, where every `go test` runs it: of the inputs in Go's fuzz cache the
# smallest ones that reach code which neither the seeds nor the inputs taken before reach. The cache itself holds
# thousands, most of them the same to a reader, and is lost with the machine.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
go=${GO:-go}
cache=$("$go" env GOCACHE)/fuzz
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT

# The blocks of code that a run of the test binary reaches, sorted.
reach() {
	"$temp/test" -test.run "$1" -test.coverprofile "$temp/profile" >"$temp/out" 2>&1 || { cat "$temp/out" >&2; return 1; }
	awk 'NR > 1 && $NF > 0 { print $1 }' "$temp/profile" | sort -u
}

"$go" list -f '{{.ImportPath}} {{.Dir}}' ./... | while read -r package dir; do
	compgen -G "$cache/$package/Fuzz*" >/dev/null || continue
	"$go" test -c -cover -o "$temp/test" "$package"
	for found in "$cache/$package"/Fuzz*; do
		name=$(basename "$found")
		corpus=$dir/testdata/fuzz/$name
		taken=0
		mkdir -p "$corpus"
		(cd "$dir" && reach "^$name\$" >"$temp/covered")
		while read -r input; do
			id=$(basename "$input")
			[ -e "$corpus/$id" ] && continue
			cp "$input" "$corpus/$id"
			if (cd "$dir" && reach "^$name\$/^$id\$" >"$temp/reached") && [ -n "$(comm -13 "$temp/covered" "$temp/reached")" ]; then
				sort -u -o "$temp/covered" "$temp/covered" "$temp/reached"
				taken=$((taken + 1))
			else
				rm "$corpus/$id"
			fi
		done < <(find "$found" -type f -size -64k -printf '%s %p\n' | sort -n | cut -d' ' -f2-)
		rmdir --ignore-fail-on-non-empty "$corpus"
		printf '%s %s: %d taken of %d found\n' "$package" "$name" "$taken" "$(find "$found" -type f | wc -l)"
	done
done
find . -type d -path '*/testdata*' -empty -delete
