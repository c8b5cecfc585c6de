#!/bin/sh
# Prints CHANGELOG.md in Debian's form. What is unreleased there belongs to the version that is being packed.
# usage: SOURCE_DATE_EPOCH=… tools/deb-changelog.sh PACKAGE VERSION MAINTAINER
set -eu
cd "$(dirname "$0")/.."

# The date of a release is in its heading: ## [1.2.0] - 2026-11-22
LC_ALL=C awk -v package="$1" -v version="$2" -v maintainer="$3" -v packed="$(LC_ALL=C TZ=UTC date -R -d "@$SOURCE_DATE_EPOCH")" '
function put(   n, i, words, line, lead) { # the bullet so far, in lines of at most 78 characters
	if (bullet == "") return
	n = split(bullet, words, " ")
	lead = "  * "; line = ""
	for (i = 1; i <= n; i++) {
		if (line != "" && length(lead line " " words[i]) > 78) { print lead line; lead = "    "; line = "" }
		line = line == "" ? words[i] : line " " words[i]
	}
	print lead line
	bullet = ""
}
function open(name, when) {
	close_entry()
	date = when; entry = 1; headed = 0
	header = (entries++ ? "\n" : "") package " (" name ") unstable; urgency=medium"
}
function show_header() {
	if (header != "") print header
	header = ""
}
function close_entry() {
	if (!entry) return
	put()
	show_header()
	if (!headed) print "\n  * No change that a user notices."
	print "\n -- " maintainer "  " date
	entry = 0
}
function day(text,   command, out) {
	command = "LC_ALL=C TZ=UTC date -R -d " text
	command | getline out
	close(command)
	return out
}
/^## \[Unreleased\]/ { open(version, packed); next }
/^## \[[0-9]/ {
	name = substr($2, 2, length($2) - 2)
	gsub(/-/, "~", name)
	if (name == version && entries == 1 && !headed) entry = entries = 0 # nothing came after this release
	if ($4 ~ /^[0-9]+-[0-9]+-[0-9]+$/) open(name, day($4))
	next
}
!entry { next }
/^### / { put(); show_header(); print "\n  [ " substr($0, 5) " ]"; headed = 1; next }
/^- / { put(); show_header(); if (!headed) { print ""; headed = 1 } bullet = substr($0, 3); next }
/^ / && bullet != "" { bullet = bullet " " $0; next }
/^$/ { put() }
END { close_entry() }
' CHANGELOG.md
