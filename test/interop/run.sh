#!/usr/bin/env bash
# The official IoT Hub SDKs for Node against our programs: as devices against
# latchhub, and as an operator against latchhub with latchd. Starts a hub and
# its doors, runs the *.test.js here, or those named, and leaves nothing behind
# but the packages in node_modules.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=test/demo/site.sh
source "$here/../demo/site.sh"

# Most of a test is waiting, so more run at once than there are processors.
at_once=6

tests=()
for name in "$@"; do
	tests+=("$here/$(basename "$name")")
done
((${#tests[@]} > 0)) || tests=("$here"/*.test.js)

# The tests are a process group of their own: node starts a process for each
# file, and all of them must end with this script.
tests_pid=
stop_tests() {
	local status=$?
	set +e
	trap '' INT TERM HUP PIPE
	if [[ -n $tests_pid ]]; then
		kill -KILL -- "-$tests_pid" 2>/dev/null
		wait "$tests_pid" 2>/dev/null
	fi
	return "$status"
}

"$here/install.sh"

echo 'Starting a hub and simulated doors on this machine ...'
# Each file of tests that needs a real agent has a door of its own.
site_devices=(door-methods door-reboot door-twins door-jobs)
site_log_lines=200
site_begin
trap 'stop_tests; site_down' EXIT
export TMPDIR=$site_dir # what a test leaves when it is killed goes with the rest
node "$here/certificates.js" authority "$site_dir/device-ca"
site_init_flags=(--name interop.azure-devices.net)
site_serve_flags=(--device-ca "$site_dir/device-ca.pem")
site_up
for policy in iothubowner service registryRead; do
	(umask 077 && latchhub connection-string --dir "$site_dir/hub" --policy "$policy" >"$site_dir/$policy.policy")
done

export SITE_DIR=$site_dir NODE_EXTRA_CA_CERTS=$site_dir/hub/ca.pem
set -m
node --no-warnings --test --test-concurrency="$at_once" --test-reporter=spec "${tests[@]}" </dev/null &
tests_pid=$!
set +m
wait "$tests_pid"
tests_pid=
