#!/usr/bin/env bash
# The main job on one machine, told with the real programs: each command is
# printed and run, and its answer is checked. A demo that shows something else
# than it says fails.
set -euo pipefail
# shellcheck source=test/demo/site.sh
source "$(dirname "${BASH_SOURCE[0]}")/site.sh"

say() { printf '\n# %s\n' "$*"; }

# run STATUS COMMAND...: prints the command as one would type it, runs it,
# prints its answer, and checks the exit status. The answer stays in $answer.
answer=
run() {
	local want=$1 status=0 word
	shift
	printf '$'
	for word in "$@"; do
		case $word in
		*\'*) printf ' "%s"' "$word" ;;
		*[!A-Za-z0-9_./:=-]*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	printf '\n'
	if [[ -t 2 ]]; then # progress lines are for terminals
		answer=$("$@") || status=$?
	else
		answer=$("$@" 2>&1) || status=$?
	fi
	printf '%s\n' "$answer" | sed 's/^/  /'
	if ((status != want)); then
		echo "the demo expected exit status $want, not $status" >&2
		exit 1
	fi
}

# shows TEXT...: the last answer must hold each text.
shows() {
	local text
	for text in "$@"; do
		if [[ $answer != *"$text"* ]]; then
			echo "the demo expected to see: $text" >&2
			exit 1
		fi
	done
}

echo 'Starting a hub and three simulated devices on this machine ...'
site_up

say 'Three devices are registered and connected, over MQTT and TLS.'
run 0 latchctl device list
shows door-1 door-2 door-3 Connected

say 'Lock a door for ten minutes: a direct method that moves the line of the lock.'
run 0 latchctl invoke door-1 lockDoor '{"lockTime":"10m"}'
shows 'lockDoor called successfully' lockdown

say 'During a lockdown nobody unlocks it, not even the operator (exit status 5).'
run 5 latchctl unlock door-1
shows 'in lockdown until'

say 'The line itself: when it was requested, at its locked level, and every edge since.'
run 0 latchctl invoke door-2 unlockDoor '{"unlockTime":"1s"}'
shows 'unlockDoor called successfully' momentary
sleep 1.5
run 0 cat "$site_dir/door-2.run/gpio/edges"
shows requested high

say 'Reboot a device, and wait for the receipt: another boot id, and how long it was down.'
run 0 latchctl reboot door-1 --command-id demo-reboot --reason 'to see it' --wait
shows rebootTime previousBootId 'rebootDevice (orderly)'

say 'The same command again is recognised: the answer is replayed, nothing moves.'
run 0 latchctl invoke door-1 rebootDevice '{"commandId":"demo-reboot","reason":"to see it"}'
shows '"replayed": true'

say 'A method the device does not know.'
run 5 latchctl invoke door-1 openSesame
shows 404 'Unknown method'

say 'A job calls lockDoor on every device that a query selects.'
run 0 latchctl job method lock-all --where "tags.site = 'lab'" --method lockDoor --payload '{"lockTime":"10m"}' --wait
shows completed door-1 door-2 door-3

say 'A job sets two desired properties.'
run 0 latchctl job twin place --where "deviceId IN ['door-1','door-2']" --desired '{"building":43,"floor":3}' --wait
shows completed

say 'The twin shows it all: what is wanted, and what the device says is so.'
acknowledged() { latchctl twin show door-1 | grep -q 'floor.ac *200'; }
await 'the device acknowledges' acknowledged
run 0 latchctl twin show door-1
shows 'building.value' 'floor.value' lockdown demo-reboot completed

say 'Who is locked, and where? Ask the hub.'
run 0 latchctl query "SELECT deviceId, properties.reported.door.mode AS door, properties.desired.building AS building FROM devices WHERE properties.reported.door.mode = 'lockdown'"
shows door-1 door-2 door-3 43

# A window opens at a full minute: at the next one that leaves time to look at it.
next=$((($(date +%s) + 15) / 60 * 60 + 60))
start=$(date -u -d "@$next" +%H:%M)
cat >"$site_dir/windows.json" <<END
{"windows": [{"name": "demo", "start": "$start", "duration": "30m"}], "spread": 0}
END

say "A maintenance window, looked at before it is sent: every day at $start UTC, $((next - $(date +%s))) seconds from now."
run 0 latchctl maintenance preview -f "$site_dir/windows.json" --weeks 1
shows demo UTC
run 0 latchctl maintenance set door-3 -f "$site_dir/windows.json"

say 'A reboot that comes before it opens waits for it, in the device.'
run 0 latchctl reboot door-3 --command-id demo-deferred --reason 'new kernel'
shows scheduled
run 0 latchctl maintenance show door-3
shows outside demo 'new kernel'

say 'It happens when the window opens.'
sleep $((next - $(date +%s)))
rebooted() { latchctl twin show door-3 | grep -q 'lastReboot.state *completed'; }
await 'door-3 has rebooted in its window' rebooted
run 0 latchctl query "SELECT deviceId, properties.reported.rebootTime AS rebootTime, properties.reported.lastReboot.reason AS reason, properties.reported.maintenanceStatus.window AS window FROM devices WHERE deviceId = 'door-3'"
shows "$(date -u -d "@$next" +%H:%M)" 'new kernel' demo

printf '\nThat was it. Everything is stopped and removed; "make up" leaves it running to try.\n'
