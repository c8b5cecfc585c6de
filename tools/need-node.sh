#!/bin/sh
# Checks that what the official SDKs for Node need is there, and says how to get it where it is not.
set -eu

fail() {
	printf '%s\n' "$@" >&2
	exit 1
}
how='Two ways to get it (nothing that is built or installed of latchd needs it):
  Debian, Raspberry Pi OS (12 or newer):  sudo apt-get install nodejs npm openssl
  any system:                             https://nodejs.org/en/download (npm comes with it)'

for program in node npm openssl; do
	command -v "$program" >/dev/null 2>&1 ||
		fail "This runs the official IoT Hub SDKs for Node, and there is no \"$program\" in PATH." "$how"
done

# From 18.19 on, node's test runner has all that is used here.
have=$(node -p 'process.versions.node')
case $have in
[0-9].* | 1[0-7].* | 18.[0-9].* | 18.1[0-8].*) fail "$(command -v node) is node $have; 18.19 or newer is needed." "$how" ;;
esac
