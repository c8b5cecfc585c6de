package loop

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"latchd/iothub"
)

var programs string // the directory of the built programs

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "latchd-loop-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		programs = dir
		build := exec.Command("go", "build", "-o", dir+"/", "../../cmd/latchd", "../../cmd/latchctl", "../../cmd/latchhub")
		build.Stderr = os.Stderr
		if err := build.Run(); err != nil {
			fmt.Fprintln(os.Stderr, "build the programs:", err)
			return 1
		}
		return m.Run()
	}())
}

// site is one hub and its devices, in a directory of its own.
type site struct {
	*testing.T
	dir     string
	ports   []string // --mqtt and --https once they are known
	hub     *process
	devices map[string]*process
	service iothub.ConnectionString
	client  *http.Client
}

// process is one of our programs, running.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
}

func newSite(t *testing.T, devices ...string) *site {
	t.Helper()
	s := &site{T: t, dir: t.TempDir(), devices: map[string]*process{}}
	s.output("latchhub", "init", "--dir", s.path("hub"))
	s.ports = []string{"--mqtt", "127.0.0.1:0", "--https", "127.0.0.1:0"}
	s.startHub()
	var err error
	if s.service, err = iothub.ParseServiceConnectionString(s.output("latchhub", "connection-string", "--dir", s.path("hub"))); err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(s.path("hub/ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	for _, id := range devices {
		s.output("latchctl", "device", "add", id, "--tags", `{"site":"lab"}`)
		s.write(id+".connection", s.output("latchctl", "device", "connection-string", id))
		s.write(id+".toml", fmt.Sprintf(`
[hub]
connection_string_file = "%[1]s.connection"
ca_file = "hub/ca.pem"
[state]
directory = "%[1]s.state"
runtime_directory = "%[1]s.run"
[door]
line = "GPIO17"
[simulate]
down_time = "500ms"
[log]
level = "debug"
`, id))
		s.startDevice(id)
		s.await(id+" is connected", func() bool { return s.twin(id)["connectionState"] == "Connected" })
	}
	return s
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

func (s *site) write(name, body string) {
	s.Helper()
	if err := os.WriteFile(s.path(name), []byte(body), 0o600); err != nil {
		s.Fatal(err)
	}
}

func (s *site) read(name string) string {
	s.Helper()
	b, err := os.ReadFile(s.path(name))
	if err != nil {
		s.Fatal(err)
	}
	return string(b)
}

// output runs a program to its end and gives what it printed.
func (s *site) output(name string, args ...string) string {
	s.Helper()
	out, code := s.try(name, args...)
	if code != 0 {
		s.Fatalf("%s %s: exit status %d\n%s", name, strings.Join(args, " "), code, out)
	}
	return out
}

func (s *site) try(name string, args ...string) (out string, code int) {
	s.Helper()
	cmd := exec.Command(filepath.Join(programs, name), args...)
	cmd.Env = append(os.Environ(), "LATCHCTL_CA="+s.path("hub/ca.pem"))
	if name == "latchctl" {
		cs, err := exec.Command(filepath.Join(programs, "latchhub"), "connection-string", "--dir", s.path("hub")).Output()
		if err != nil {
			s.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "IOTHUB_CONNECTION_STRING="+strings.TrimSpace(string(cs)))
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		s.Fatal(err)
	}
	if stderr.Len() > 0 {
		s.Logf("%s: %s", name, stderr.String())
	}
	return stdout.String(), cmd.ProcessState.ExitCode()
}

// start runs a program with its log in a file. It is killed when the test
// ends, at the latest.
func (s *site) start(logFile, name string, args ...string) *process {
	s.Helper()
	log, err := os.OpenFile(s.path(logFile), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		s.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(filepath.Join(programs, name), args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		s.Fatal(err)
	}
	p := &process{cmd, make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(p.done)
	}()
	s.Cleanup(func() {
		p.signal(syscall.SIGKILL)
		if s.Failed() {
			s.Logf("%s:\n%s", logFile, s.read(logFile))
		}
	})
	return p
}

// signal sends a signal and waits for the end of the process.
func (p *process) signal(sig os.Signal) {
	_ = p.cmd.Process.Signal(sig)
	<-p.done
}

// freeze stops a process and waits until each of its threads stands still.
// kill(2) returns before that: on a busy machine the other threads run on
// until one of them has taken the signal.
func (s *site) freeze(p *process) {
	s.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		s.Fatal(err)
	}
	s.await("the process stands still", func() bool {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", p.cmd.Process.Pid))
		if err != nil || len(threads) == 0 {
			s.Fatalf("no threads of process %d: %v", p.cmd.Process.Pid, err)
		}
		for _, thread := range threads {
			// proc(5): the state follows the name, which stands in parentheses.
			stat, err := os.ReadFile(thread)
			if err != nil {
				return false // it ended meanwhile: look again
			}
			if _, after, _ := strings.Cut(string(stat), ") "); !strings.HasPrefix(after, "T") {
				return false
			}
		}
		return true
	})
}

// thaw lets a process go on that freeze stopped.
func (s *site) thaw(p *process) {
	s.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		s.Fatal(err)
	}
}

func (s *site) startHub() {
	s.Helper()
	_ = os.Remove(s.path("hub/endpoints.json"))
	s.hub = s.start("hub.log", "latchhub", append([]string{"serve", "--dir", s.path("hub")}, s.ports...)...)
	s.await("the hub is ready", func() bool {
		b, err := os.ReadFile(s.path("hub/endpoints.json"))
		var at struct{ MQTT, HTTPS string }
		if err != nil || json.Unmarshal(b, &at) != nil || at.MQTT == "" {
			return false
		}
		s.ports = []string{"--mqtt", at.MQTT, "--https", at.HTTPS}
		return true
	})
}

func (s *site) startDevice(id string) {
	s.Helper()
	s.devices[id] = s.start(id+".log", "latchd", "--simulate", "--config", s.path(id+".toml"))
}

// await polls a condition that another process makes true.
func (s *site) await(what string, cond func() bool) {
	s.Helper()
	for end := time.Now().Add(30 * time.Second); !cond(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			s.Fatalf("waited in vain: %s", what)
		}
	}
}

// request is a request of the service API as an SDK sends it.
func (s *site) request(verb, path, body string, headers ...string) (status int, answer any) {
	s.Helper()
	host, port := iothub.SplitHostPort(s.service.HostName)
	url := fmt.Sprintf("https://%s:%s%s?api-version=2021-04-12", host, port, path)
	req, err := http.NewRequest(verb, url, strings.NewReader(body))
	if err != nil {
		s.Fatal(err)
	}
	req.Header.Set("Authorization", iothub.NewSAS(s.service.SharedAccessKey, s.service.HostName, time.Now().Add(time.Hour), s.service.SharedAccessKeyName))
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		s.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		s.Fatal(err)
	}
	if len(text) > 0 {
		if answer, err = iothub.DecodeJSON(text); err != nil {
			s.Fatalf("%s %s answered %q: %v", verb, path, text, err)
		}
	}
	return res.StatusCode, answer
}

// object is a request that must succeed, and its answer.
func (s *site) object(verb, path, body string) map[string]any {
	s.Helper()
	status, answer := s.request(verb, path, body)
	doc, ok := answer.(map[string]any)
	if status != http.StatusOK || !ok {
		s.Fatalf("%s %s: status %d, %v", verb, path, status, answer)
	}
	return doc
}

func (s *site) twin(id string) map[string]any {
	s.Helper()
	return s.object("GET", "/twins/"+id, "")
}

func (s *site) reported(id string, path ...string) any {
	s.Helper()
	return at(s.twin(id), append([]string{"properties", "reported"}, path...)...)
}

// at finds a member by its path; nil if it is not there.
func at(v any, path ...string) any {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// invoke calls a method and gives the device's status and payload.
func (s *site) invoke(id, method, payload string) (status string, answer map[string]any) {
	s.Helper()
	doc := s.object("POST", "/twins/"+id+"/methods", fmt.Sprintf(
		`{"methodName":%q,"payload":%s,"responseTimeoutInSeconds":30,"connectTimeoutInSeconds":10}`, method, payload))
	answer, _ = doc["payload"].(map[string]any)
	return fmt.Sprint(doc["status"]), answer
}

func (s *site) awaitJob(id string) map[string]any {
	s.Helper()
	var job map[string]any
	s.await("job "+id+" ends", func() bool {
		job = s.object("GET", "/jobs/v2/"+id, "")
		return job["status"] == "completed" || job["status"] == "failed"
	})
	return job
}
