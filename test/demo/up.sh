#!/usr/bin/env bash
# The hub and the devices of the demo, to try things on, until Ctrl-C.
set -euo pipefail
# shellcheck source=test/demo/site.sh
source "$(dirname "${BASH_SOURCE[0]}")/site.sh"

echo 'Starting a hub and three simulated devices on this machine ...'
site_up
trap 'printf "\nStopping.\n" || true; exit 0' INT TERM HUP

cat <<TEXT

A hub and three simulated devices are running. In another terminal:

  export PATH="$LATCHD_BIN:\$PATH"
  export LATCHCTL_CONNECTION_STRING_FILE="$LATCHCTL_CONNECTION_STRING_FILE"
  export LATCHCTL_CA="$LATCHCTL_CA"

  latchctl device list
  latchctl lock door-1 --for 10m
  latchctl unlock door-2 --for 30s
  latchctl reboot door-3 --wait
  latchctl invoke door-2 getStatus
  latchctl twin set door-2 --desired '{"doorPolicy":{"unlockTime":"10s"}}'
  latchctl query "SELECT deviceId, properties.reported.door.state AS door FROM devices"
  latchctl job method lock-all --where '*' --method lockDoor --wait

The exit button and the door contact of door-2 are files:

  echo pressed > "$site_dir/door-2.run/gpio/button"
  echo open > "$site_dir/door-2.run/gpio/contact"

Connection strings, for other people's clients (they hold keys of this
throw-away hub; its certificate authority is $LATCHCTL_CA):

  service  $(cat "$LATCHCTL_CONNECTION_STRING_FILE")
TEXT
for id in "${site_devices[@]}"; do
	printf '  %s   %s\n' "$id" "$(cat "$site_dir/$id.connection")"
done
printf '\nLogs: %s/*.log\nCtrl-C stops everything and removes it.\n' "$site_dir"
# Ends by Ctrl-C, or when one of the programs ends by itself.
wait -n "${site_pids[@]}"
echo 'one of the programs ended by itself' >&2
exit 1
