package firmware

import (
	"os"
	"strings"
)

// initialPIDNamespace is what /proc/self/ns/pid links to outside of every
// container: the kernel gives its first PID namespace a fixed inode number
// (PROC_PID_INIT_INO, 0xEFFFFFFC, in include/linux/proc_ns.h).
const initialPIDNamespace = "pid:[4026531836]"

// container names the container this program runs in; "" outside of one.
func (t tree) container(k kernel) string {
	// Where systemd is the container's first process, it writes down what it found.
	if name := t.text("run/systemd/container"); name != "" {
		return name
	}
	// nspawn and podman tell the name here (systemd's container interface).
	if name := t.text("run/host/container-manager"); name != "" {
		return name
	}
	if t.exists(".dockerenv") {
		return "docker"
	}
	if t.exists("run/.containerenv") {
		return "podman"
	}
	// The common convention, but only root may read it.
	if environment, err := os.ReadFile(t.path("proc/1/environ")); err == nil {
		for variable := range strings.SplitSeq(string(environment), "\x00") {
			if name, ok := strings.CutPrefix(variable, "container="); ok && name != "" {
				return plain(name)
			}
		}
	}
	// Kubernetes' runtimes leave none of these signs, but cannot hide this one.
	if namespace := k.pidNamespace(); namespace != "" && namespace != initialPIDNamespace {
		return "unknown"
	}
	return ""
}
