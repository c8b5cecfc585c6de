#!/bin/sh
# Checks that a Go is there that can build this tree, and says how to get one where it is not.
# Any Go from 1.21 on will do: it reads go.mod and fetches the toolchain named there by itself. Older ones cannot.
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}

fail() {
	printf '%s\n' "$@" >&2
	exit 1
}
how='Go 1.21 or newer will do (the right toolchain is fetched by itself). Two ways to get it:
  Debian 12, Raspberry Pi OS 12:  sudo apt install -t bookworm-backports golang-go
                                  (once before: https://backports.debian.org/Instructions/)
  any system:                     https://go.dev/doc/install'

command -v "$go" >/dev/null 2>&1 || fail "latchd is built with Go, and there is no \"$go\" in PATH." "$how"

# Outside the module, so that an old Go does not trip over go.mod before it has told its version.
said=$(cd / && "$go" version 2>&1) || fail "\"$go version\" failed: $said" "$how"
minor() { printf '%s\n' "$1" | sed -n 's/^.*go1\.\([0-9][0-9]*\).*$/\1/p'; }
have=$(minor "$said")
[ -n "$have" ] || fail "\"$go version\" says \"$said\", which is no Go version that is known here." "$how"
[ "$have" -ge 21 ] || fail "$(command -v "$go") is Go 1.$have, which can neither build latchd nor fetch a Go that can." "$how"

# Inside the module Go has switched to the toolchain of go.mod, if it is allowed to and could fetch it.
want=$(sed -n 's/^go 1\.\([0-9][0-9]*\).*$/\1/p' go.mod)
said=$("$go" version 2>&1) || fail "Go 1.$have could not fetch the toolchain that go.mod asks for (Go 1.$want):" "$said"
have=$(minor "$said")
[ "${have:-0}" -ge "$want" ] || fail "go.mod asks for Go 1.$want, this is Go 1.$have, and it is told not to fetch another (GOTOOLCHAIN=$("$go" env GOTOOLCHAIN))." \
	"Allow it with:  $go env -w GOTOOLCHAIN=auto   (and unset GOTOOLCHAIN in the environment)"
