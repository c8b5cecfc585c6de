# shellcheck shell=bash
# A site in one temporary directory: a hub and three simulated devices. Source
# it, call site_up; whatever happens then, nothing is left running or lying
# about.
#
# LATCHD_BIN is the directory of the three programs.

: "${LATCHD_BIN:?is the directory of the built programs; run this by make}"
LATCHD_BIN=$(cd "$LATCHD_BIN" && pwd)
PATH=$LATCHD_BIN:$PATH

# What may be set before site_up.
site_devices=(door-1 door-2 door-3)
site_init_flags=()  # more for latchhub init
site_serve_flags=() # more for latchhub serve
site_log_lines=15   # of each log, when it went wrong

site_pids=()
site_dir=

site_down() {
	local status=$?
	trap - EXIT
	trap '' INT TERM HUP PIPE # a second Ctrl-C must not leave half of it behind
	set +e                    # and neither must a terminal that was closed
	# Devices first, so that they say goodbye to a hub that is still there.
	local i
	for ((i = ${#site_pids[@]} - 1; i >= 0; i--)); do
		kill "${site_pids[i]}" 2>/dev/null
		wait "${site_pids[i]}" 2>/dev/null
	done
	if [[ -n $site_dir ]]; then
		if ((status != 0 && status != 130)); then
			echo "--- it went wrong; what the programs said last:" >&2
			tail -n "$site_log_lines" "$site_dir"/*.log >&2
		fi
		rm -rf "$site_dir"
	fi
	exit "$status"
}

# await WHAT COMMAND...: tries the command until it succeeds, for 20 s.
await() {
	local what=$1 end=$((SECONDS + 20))
	shift
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS >= end)); then
			echo "waited in vain: $what" >&2
			return 1
		fi
		sleep 0.1
	done
}

is_connected() { latchctl twin show "$1" --output json | grep -q '"connectionState": *"Connected"'; }

# site_begin makes the directory of the site. site_up does it too; it is for
# what must be there before.
site_begin() {
	[[ -z $site_dir ]] || return 0
	trap site_down EXIT
	trap 'exit 130' INT TERM HUP
	site_dir=$(mktemp -d)
}

site_up() {
	site_begin
	latchhub init --dir "$site_dir/hub" "${site_init_flags[@]}" >/dev/null
	latchhub serve --dir "$site_dir/hub" --mqtt 127.0.0.1:0 --https 127.0.0.1:0 "${site_serve_flags[@]}" >"$site_dir/hub.log" 2>&1 &
	site_pids+=($!)
	await 'the hub is ready' test -s "$site_dir/hub/endpoints.json"

	# Where latchctl finds its hub, and whom it trusts.
	export LATCHCTL_CONNECTION_STRING_FILE=$site_dir/connection LATCHCTL_CA=$site_dir/hub/ca.pem
	(umask 077 && latchhub connection-string --dir "$site_dir/hub" >"$site_dir/connection")

	local id
	for id in "${site_devices[@]}"; do
		latchctl device add "$id" --tags '{"site":"lab"}' >/dev/null
		(umask 077 && latchctl device connection-string "$id" >"$site_dir/$id.connection")
		cat >"$site_dir/$id.toml" <<-TOML
			[hub]
			connection_string_file = "$id.connection"
			ca_file = "hub/ca.pem"

			[state]
			directory = "$id.state"
			runtime_directory = "$id.run"

			[door]
			line = "GPIO17"
		TOML
		latchd --simulate --config "$site_dir/$id.toml" >"$site_dir/$id.log" 2>&1 &
		site_pids+=($!)
	done
	for id in "${site_devices[@]}"; do
		await "$id is connected" is_connected "$id"
	done
}
