package firmware

import "time"

// kernel is what is asked by system call instead of read from a file; a recorded
// machine has recorded answers.
type kernel struct {
	architecture func() string           // "aarch64"; "" if unknown
	storage      func(path string) int64 // size of the file system at path, in kilobytes; 0 if unknown
	pidNamespace func() string           // "pid:[4026531836]"; "" if unknown
	uptime       func() time.Duration    // since boot, suspend included
}
