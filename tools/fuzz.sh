#!/bin/sh
# Finds every fuzz target of the module and runs each for FUZZTIME (default 30s). Stops at the first finding.
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}

# "go test -list" prints the names of a package first and the package after them.
listed=$("$go" test -list '^Fuzz' ./...) || { printf '%s\n' "$listed" >&2; exit 1; }
targets=$(printf '%s\n' "$listed" | awk '/^Fuzz/ { names[++n] = $1 } $1 == "ok" { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }')
[ -n "$targets" ] || { echo "there is no fuzz target" >&2; exit 1; }

printf '%s\n' "$targets" | while read -r package name; do
	echo "== $package $name"
	# Without the last flag a slow target spends its time on making new inputs smaller, up to a minute for each.
	"$go" test -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-30s}" -fuzzminimizetime 10x "$package" </dev/null
done
