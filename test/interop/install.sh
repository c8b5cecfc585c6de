#!/usr/bin/env bash
# Fetches the packages that the lock file names into node_modules, if it
# changed since they were fetched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

../../tools/need-node.sh
installed=node_modules/.installed-lock.json
if ! cmp -s package-lock.json "$installed"; then
	echo 'Installing the SDKs (npm ci) ...'
	# No package has anything to do at its installation, so none may.
	npm ci --ignore-scripts --no-audit --no-fund --no-update-notifier
	cp package-lock.json "$installed"
fi
