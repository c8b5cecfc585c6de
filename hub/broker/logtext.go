package broker

import "strings"

// maxLogText bounds what a client's words take of a line in the log, in bytes:
// they can be 64 KB, and come with each of its connections.
const maxLogText = 300

// logText is a text with words of a client, cut for the log.
func logText(s string) string {
	if len(s) <= maxLogText {
		return s
	}
	return strings.ToValidUTF8(s[:maxLogText], "") + "…"
}
