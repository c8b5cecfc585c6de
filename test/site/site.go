// Package site is a latchd site for tests: the three programs as they are built
// and as they run, a hub with its own authority on free ports of the loopback
// and agents with --simulate, in a directory that goes away with the test.
//
// It holds no code of the product and knows none of its insides beyond the
// words of the wire: what it asks the hub, it asks as an SDK would.
//
// A test package gives its TestMain to Main, which builds the programs once;
// each test makes a Site of its own with New and may run in parallel to the
// others. Whatever a Site started is killed at the end of its test, and the
// logs of the programs are printed if the test failed.
package site

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchd/iothub"
)

var programs string // the directory of the built programs

// Programs is the directory of the built programs, within Main.
func Programs() string { return programs }

// Main builds the programs, runs the tests of a package and gives their exit
// status: the body of a TestMain.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "latchd-site-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	programs = dir
	build := exec.Command("go", "build", "-o", dir+"/", "latchd/cmd/latchd", "latchd/cmd/latchctl", "latchd/cmd/latchhub")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as they are shipped; with the C library they take more memory
	build.Stderr = os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "build the programs:", err)
		return 1
	}
	return m.Run()
}

// IsSoak tells whether the tests may take long: LATCHD_SOAK of 2 or more in the
// environment says so.
func IsSoak() bool {
	n, err := strconv.Atoi(os.Getenv("LATCHD_SOAK"))
	return err == nil && n >= 2
}

// Site is one hub and its devices, in a directory of its own. It fails its
// test when a step fails that must not, and everything it started ends with
// the test.
type Site struct {
	testing.TB
	Dir     string
	Hub     *Process
	Devices map[string]*Process     // by device id
	Service iothub.ConnectionString // the hub owner's

	ports  []string // --mqtt and --https
	client *http.Client
}

// New starts a hub and one simulated device for each id, and waits until they
// are connected.
func New(t testing.TB, devices ...string) *Site {
	t.Helper()
	if err := seeSources(); err != nil {
		t.Fatal("look at the sources of the programs:", err)
	}
	s := &Site{TB: t, Dir: t.TempDir(), Devices: map[string]*Process{}}
	s.Output("latchhub", "init", "--dir", s.Path("hub"))
	s.ports = []string{"--mqtt", Address(t), "--https", Address(t)}
	s.StartHub()
	var err error
	if s.Service, err = iothub.ParseServiceConnectionString(s.Output("latchhub", "connection-string", "--dir", s.Path("hub"))); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(s.Path("hub/ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	for _, id := range devices {
		s.AddDevice(id)
		s.StartDevice(id)
		s.AwaitConnected(id)
	}
	return s
}

// In is the same site in a subtest: what is started through it ends with that
// subtest, and what fails, fails it. Each subtest keeps its own Devices, so
// that several may run at once on one hub.
func (s *Site) In(t testing.TB) *Site {
	sub := *s
	sub.TB, sub.Devices = t, map[string]*Process{}
	return &sub
}

// AddDevice registers a device and writes its connection string and its
// configuration, ID.connection and ID.toml. The configuration ends with the
// lines of more; a table of its own may begin there.
func (s *Site) AddDevice(id string, more ...string) {
	s.Helper()
	s.Output("latchctl", "device", "add", id, "--tags", `{"site":"lab"}`)
	s.Write(id+".connection", s.Output("latchctl", "device", "connection-string", id))
	s.Write(id+".toml", fmt.Sprintf(`
[hub]
connection_string_file = "%[1]s.connection"
ca_file = "hub/ca.pem"
[state]
directory = "%[1]s.state"
runtime_directory = "%[1]s.run"
[door]
line = "GPIO17"
[reboot]
max_per_hour = 1000
max_per_day = 1000
[simulate]
down_time = "500ms"
[log]
level = "debug"
`, id)+strings.Join(more, "\n"))
}

// Path is the path of a file of the site.
func (s *Site) Path(name string) string { return filepath.Join(s.Dir, name) }

// Write writes a file of the site.
func (s *Site) Write(name, body string) {
	s.Helper()
	if err := os.WriteFile(s.Path(name), []byte(body), 0o600); err != nil {
		s.Fatal(err)
	}
}

// Read gives a file of the site.
func (s *Site) Read(name string) string {
	s.Helper()
	b, err := os.ReadFile(s.Path(name))
	if err != nil {
		s.Fatal(err)
	}
	return string(b)
}

// Await polls a condition that another process makes true.
func (s *Site) Await(what string, cond func() bool) {
	s.Helper()
	for end := time.Now().Add(30 * time.Second); !cond(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("waited in vain: %s", what)
		}
	}
}

// AwaitConnected waits until the hub has a session with the device.
func (s *Site) AwaitConnected(id string) {
	s.Helper()
	s.Await(id+" is connected", func() bool { return s.Twin(id)["connectionState"] == "Connected" })
}
