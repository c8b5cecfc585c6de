package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"latchd/test/site"
)

// printHeading says what is measured, and on what.
func printHeading(s *site.Site, rounds, calls, warmUp int) {
	fmt.Printf("latchd beside the official Node device SDK: %d rounds of %d calls of each, after %d to warm up, in turns of %d.\n", rounds, calls, warmUp, calls/blocks)
	answer := s.Read(answerFile)
	fmt.Printf("Each call is getStatus through the hub's REST API; the answer has %d bytes. Nothing is written to disk.\n", len(answer))
	fmt.Printf("%s; %s, %d cores, load %s; %s\n", time.Now().UTC().Format(time.RFC3339), cpuModel(), runtime.NumCPU(), firstWord("/proc/loadavg"), firstLine("uname", "-sr"))
	fmt.Printf("latchd %s, %s; Node.js %s, azure-iot-device %s, azure-iot-device-mqtt %s\n\n",
		commit(), runtime.Version(), firstLine("node", "--version"), moduleVersion("azure-iot-device"), moduleVersion("azure-iot-device-mqtt"))
}

func cpuModel() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(line, ":"); strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "a " + runtime.GOARCH + " processor" // ARM kernels do not name it
}

func commit() string {
	if c := firstLine("git", "describe", "--always", "--dirty"); c != "" {
		return c
	}
	return "of an unknown commit"
}

func moduleVersion(name string) string {
	var manifest struct{ Version string }
	text, _ := os.ReadFile(filepath.Join(*modules, name, "package.json"))
	if json.Unmarshal(text, &manifest) != nil {
		return "of an unknown version"
	}
	return manifest.Version
}

func firstWord(file string) string {
	text, _ := os.ReadFile(file)
	word, _, _ := strings.Cut(string(text), " ")
	return word
}

func firstLine(program string, args ...string) string {
	out, _ := exec.Command(program, args...).Output()
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
