package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"latchd/hub"
	"latchd/iothub"
	"latchd/iothub/device"
	operator "latchd/iothub/service"
)

// site is a hub with one device.
type site struct {
	ca, connection string // files
	host           string
	owner          *operator.Client
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hub")
	if err := hub.Init(dir, nil); err != nil {
		t.Fatal(err)
	}
	h, err := hub.Open(dir, hub.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var listeners [2]net.Listener
	for i := range listeners {
		if listeners[i], err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.Serve(ctx, listeners[0], listeners[1]) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-served, h.Close()); err != nil {
			t.Error(err)
		}
	})
	_, port, _ := net.SplitHostPort(listeners[0].Addr().String())
	s := &site{ca: filepath.Join(dir, "ca.pem"), host: "localhost:" + port, connection: filepath.Join(t.TempDir(), "device")}
	awaitFile(t, filepath.Join(dir, "endpoints.json")) // which has its ports
	text, err := hub.ConnectionString(dir, "iothubowner")
	if err != nil {
		t.Fatal(err)
	}
	owner, err := iothub.ParseServiceConnectionString(text)
	if err != nil {
		t.Fatal(err)
	}
	roots, err := device.LoadRootCAs(s.ca)
	if err != nil {
		t.Fatal(err)
	}
	s.owner = operator.New(owner, operator.Options{RootCAs: roots})
	t.Cleanup(s.owner.Close)
	d, err := s.owner.CreateDevice(t.Context(), operator.NewDevice{ID: "door-1"})
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, *d.Authentication.SymmetricKey.PrimaryKey)
	return s
}

// write makes the device's connection string with a key.
func (s *site) write(t *testing.T, key string) {
	t.Helper()
	text := "HostName=" + s.host + ";DeviceId=door-1;SharedAccessKey=" + key + "\n"
	if err := os.WriteFile(s.connection, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// configured runs `latchd configure` on a machine.
func configured(t *testing.T, m system, args ...string) (exit int, stdout, stderr string) {
	t.Helper()
	config := filepath.Join(t.TempDir(), "latchd.toml")
	if err := os.WriteFile(config, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	p := program{stdout: &out, stderr: &errs, system: m}
	exit = p.run(t.Context(), append([]string{"configure", "--config", config}, args...))
	return exit, out.String(), errs.String()
}

// stored is what a directory of credentials holds.
func stored(t *testing.T, m system, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir(m.path(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(m.path(dir), e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		found[e.Name()] = string(text)
	}
	return found
}

func TestConfigure(t *testing.T) {
	hub := newSite(t)
	m, systemd := machineWithSystemd(t)
	exit, out, errs := configured(t, m, "--connection-string-file", hub.connection, "--ca", hub.ca)
	if exit != exitOK || errs != "" || !strings.Contains(out, "The hub accepts this device.") || !strings.Contains(out, "The service was restarted.") {
		t.Fatalf("exit %d\n%s%s", exit, out, errs)
	}
	if systemd.restarts.Load() != 1 {
		t.Errorf("%d restarts", systemd.restarts.Load())
	}
	before := stored(t, m, plainDir)
	if len(before) != 2 || !strings.HasPrefix(before[connectionFile], "HostName="+hub.host+";DeviceId=door-1;SharedAccessKey=") {
		t.Errorf("stored: %d files", len(before))
	}

	t.Run("what was stored connects the service", func(t *testing.T) {
		shown := t.TempDir() // as systemd shows the directory
		for name, text := range before {
			if err := os.WriteFile(filepath.Join(shown, plainCredentials+name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		t.Setenv("CREDENTIALS_DIRECTORY", shown)
		found, err := findCredentials(hubConfig{})
		if err == nil {
			err = device.Check(t.Context(), found.client())
		}
		if err != nil {
			t.Error(err)
		}
	})
	for name, test := range map[string]struct {
		key  string
		args []string
		want string
	}{
		"another authority": {args: []string{"--connection-string-file", hub.connection}, want: "unknown authority: set the CA file"},
		"a wrong key": {
			key: "d3Jvbmd3cm9uZ3dyb25n", args: []string{"--connection-string-file", hub.connection, "--ca", hub.ca},
			want: "the hub refused the connection: ",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if test.key != "" {
				hub.write(t, test.key)
			}
			exit, out, errs := configured(t, m, test.args...)
			if exit != exitFailure || !strings.Contains(errs, test.want) || !strings.Contains(errs, "; nothing was changed") {
				t.Errorf("exit %d\n%s%s", exit, out, errs)
			}
			if test.key != "" && strings.Contains(out+errs, test.key) {
				t.Error("the key is shown")
			}
			if after := stored(t, m, plainDir); after[connectionFile] != before[connectionFile] || after[caFile] != before[caFile] {
				t.Error("the old ones did not stay")
			}
			if systemd.restarts.Load() != 1 {
				t.Error("the service was restarted")
			}
		})
	}
	t.Run("a service that does not come up", func(t *testing.T) {
		systemd.will("failed", nil)
		exit, _, errs := configured(t, m, "--no-check", "--connection-string", sasString("door-1"))
		if exit != exitFailure || !strings.Contains(errs, "the credentials are stored, and count from the next start") {
			t.Errorf("exit %d\n%s", exit, errs)
		}
	})
}

func TestConfigureWithACertificate(t *testing.T) {
	hub := newSite(t)
	m := system{root: t.TempDir()}
	cert, key := filepath.Join(m.root, "c.pem"), filepath.Join(m.root, "k.pem")
	certText, keyText := deviceCertificate(t)
	for name, text := range map[string][]byte{cert: certText, key: keyText} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--host", hub.host, "--device", "door-2", "--certificate", cert, "--key", key, "--ca", hub.ca}
	if exit, _, errs := configured(t, m, args...); exit != exitFailure || !strings.Contains(errs, "check that the device exists on this hub") {
		t.Errorf("a device that is not registered: exit %d\n%s", exit, errs)
	}
	thumbprint := thumbprintOf(t, certText)
	if _, err := hub.owner.CreateDevice(t.Context(), operator.NewDevice{ID: "door-2", Thumbprints: []string{thumbprint}}); err != nil {
		t.Fatal(err)
	}
	exit, out, errs := configured(t, m, args...)
	if exit != exitOK || !strings.Contains(out, "The hub accepts this device.") {
		t.Fatalf("exit %d\n%s%s", exit, out, errs)
	}
	found := stored(t, m, plainDir)
	if len(found) != 4 || found[keyFile] != string(keyText) || found[connectionFile] != "HostName="+hub.host+";DeviceId=door-2;x509=true" {
		t.Errorf("stored: %d files", len(found))
	}
}

// fakeVarlink is systemd's service that encrypts credentials.
type fakeVarlink struct {
	mu     sync.Mutex // guards the fields below
	names  []string
	answer func(name string, data []byte) string
}

func newFakeVarlink(t *testing.T, m system) *fakeVarlink {
	t.Helper()
	path := m.path(systemdEncrypts)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	f := &fakeVarlink{answer: func(name string, data []byte) string {
		return fmt.Sprintf(`{"parameters":{"blob":"%s"}}`, sealed(name, string(data)))
	}}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.serve(conn)
		}
	}()
	return f
}

// sealed is what the fake makes of a text.
func sealed(name, text string) string {
	return base64.StdEncoding.EncodeToString([]byte("sealed " + name + " " + text))
}

func (f *fakeVarlink) serve(conn net.Conn) {
	defer conn.Close()
	message, err := bufio.NewReader(conn).ReadBytes(0)
	if err != nil {
		return
	}
	var call struct {
		Method     string
		Parameters struct {
			Name string
			Data []byte
		}
	}
	if err := json.Unmarshal(message[:len(message)-1], &call); err != nil || call.Method != "io.systemd.Credentials.Encrypt" {
		_, _ = io.WriteString(conn, `{"error":"org.varlink.service.MethodNotFound"}`+"\x00")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.names = append(f.names, call.Parameters.Name)
	_, _ = io.WriteString(conn, f.answer(call.Parameters.Name, call.Parameters.Data)+"\x00")
}

func TestConfigureEncrypts(t *testing.T) {
	m := system{root: t.TempDir()}
	bench := []string{"--no-check", "--connection-string", sasString("door-1")}
	if exit, _, errs := configured(t, m, bench...); exit != exitOK {
		t.Fatal(errs)
	}
	f := newFakeVarlink(t, m)
	exit, out, errs := configured(t, m, bench...)
	if exit != exitOK || !strings.Contains(out, "Stored in /etc/latchd/credentials.encrypted, encrypted by systemd.") {
		t.Fatalf("exit %d\n%s%s", exit, out, errs)
	}
	const name = "latchd-encrypted_connection-string" // as the unit loads it
	if got := stored(t, m, encryptedDir); len(got) != 1 || got[connectionFile] != sealed(name, sasString("door-1")) {
		t.Errorf("stored %q", got)
	}
	if left := stored(t, m, plainDir); len(left) != 0 {
		t.Error("the plain ones are still there")
	}
	for what, answer := range map[string]string{
		"a refusal":                `{"error":"io.systemd.Credentials.BadScope","parameters":{}}`,
		"no text":                  `{"parameters":{}}`,
		"no JSON":                  `sealed`,
		"nothing before it closes": "",
	} {
		t.Run(what, func(t *testing.T) {
			f.mu.Lock()
			f.answer = func(string, []byte) string { return answer }
			f.mu.Unlock()
			exit, _, errs := configured(t, m, "--no-check", "--connection-string", sasString("door-2"))
			if exit != exitFailure || !strings.Contains(errs, "have systemd encrypt connection-string: ") || !strings.Contains(errs, "nothing was changed (--plain stores without encrypting)") {
				t.Errorf("exit %d\n%s", exit, errs)
			}
			if got := stored(t, m, encryptedDir); got[connectionFile] != sealed(name, sasString("door-1")) {
				t.Error("the old ones did not stay")
			}
		})
	}
	t.Run("not where it is told not to", func(t *testing.T) {
		if exit, _, errs := configured(t, m, append(bench, "--plain")...); exit != exitOK {
			t.Fatal(errs)
		}
		if plain, left := stored(t, m, plainDir), stored(t, m, encryptedDir); plain[connectionFile] != sasString("door-1") || len(left) != 0 {
			t.Error("it is not plain, or not alone")
		}
	})
}

func TestStoring(t *testing.T) {
	m := system{root: t.TempDir()}
	set := credentialSet{connectionFile: []byte("new")}
	t.Run("what a killed run left is no hindrance", func(t *testing.T) {
		left := m.path(plainDir + ".new")
		if err := os.MkdirAll(left, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(left, keyFile), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.store(t.Context(), set, false); err != nil {
			t.Fatal(err)
		}
		if got := stored(t, m, plainDir); len(got) != 1 || got[connectionFile] != "new" {
			t.Errorf("stored %q", got)
		}
		if names, err := os.ReadDir(m.path(configurationDir)); err != nil || len(names) != 3 { // the lock file too
			t.Errorf("the directory holds %v, %v", names, err)
		}
	})
	t.Run("two at once", func(t *testing.T) {
		release, err := lockConfigure(m.path(configurationDir))
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		if _, err := m.store(t.Context(), set, false); err == nil || !strings.Contains(err.Error(), "another latchd configure is running; nothing was changed") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("no directory can be made", func(t *testing.T) {
		file := system{root: filepath.Join(t.TempDir(), "file")}
		if err := os.WriteFile(file.root, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := file.store(t.Context(), set, false); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
			t.Errorf("error %v", err)
		}
	})
}
