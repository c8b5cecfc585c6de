package firmware

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// OpenLinux reads this machine. dir is the directory that keeps the program's
// state over a reboot; the machine remembers there what it found out about the
// present boot, as far as the disk allows. The error says why there is no boot id.
func OpenLinux(dir string) (*Linux, error) {
	return openLinux("/", realKernel(), dir)
}

// OpenSimulated switches the simulated machine on, or finds it running: its boot
// id lives in runtimeDir, the simulated memory, so that it outlives this process
// but not a simulated reboot, nor somebody who empties the directory (that is
// pulling the plug), nor a boot of the real machine. dir is the simulated disk.
// downTime is how long a reboot takes; zero or less means DefaultDownTime.
//
// Both directories are made if missing. A reboot removes everything in
// runtimeDir, so it must be one that a simulated machine made, or an empty one,
// and neither dir nor this program may be inside. Open the machine before
// anything else writes there: it begins a boot with an empty directory.
func OpenSimulated(dir, runtimeDir string, downTime time.Duration) (*Simulated, error) {
	return openSimulated("/", realKernel(), dir, runtimeDir, downTime)
}

// realKernel asks the running kernel.
func realKernel() kernel {
	return kernel{
		architecture: func() string {
			var name unix.Utsname
			if err := unix.Uname(&name); err != nil {
				return ""
			}
			return unix.ByteSliceToString(name.Machine[:])
		},
		storage: func(path string) int64 {
			var fs unix.Statfs_t
			if err := unix.Statfs(path, &fs); err != nil {
				return 0
			}
			return int64(fs.Blocks * uint64(fs.Frsize) / 1024)
		},
		pidNamespace: func() string {
			name, _ := os.Readlink("/proc/self/ns/pid")
			return name
		},
		uptime: func() time.Duration {
			var t unix.Timespec
			if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
				// Linux has this clock since 2.6.39, and the call has no other way to fail.
				panic("CLOCK_BOOTTIME: " + err.Error())
			}
			return time.Duration(t.Nano())
		},
	}
}
