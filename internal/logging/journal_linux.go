package logging

import (
	"fmt"
	"os"
	"syscall"
)

// ToJournal tells whether what is written to f goes to the systemd journal.
// systemd sets JOURNAL_STREAM to the device and inode number of the stream it
// connected (systemd.exec(5)). The comparison matters: the variable is inherited
// by programs whose own standard error is a file or a terminal.
func ToJournal(f *os.File) bool {
	stream := os.Getenv("JOURNAL_STREAM")
	if stream == "" || f == nil {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}
