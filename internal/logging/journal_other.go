//go:build !linux

package logging

import "os"

// ToJournal is false: only Linux has the systemd journal.
func ToJournal(*os.File) bool { return false }
