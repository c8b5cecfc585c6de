package hub

import (
	"context"
	"crypto/x509"
	"database/sql"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"latchd/iothub"
)

func initDir(t *testing.T, names ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hub")
	if err := Init(dir, names); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestInit(t *testing.T) {
	dir := initDir(t, "hub.example", "192.0.2.7")
	for name, perm := range map[string]os.FileMode{
		".": 0o700, configFile: 0o600, caFile: 0o600, caKeyFile: 0o600, serverFile: 0o600, serverKeyFile: 0o600,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != perm {
			t.Errorf("%s has permissions %o", name, info.Mode().Perm())
		}
	}
	server, err := readPair(dir, serverFile, serverKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := readPair(dir, caFile, caKeyFile)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.cert)
	for _, name := range []string{"hub.example", "192.0.2.7", "localhost", "127.0.0.1", "::1"} {
		if _, err := server.cert.Verify(x509.VerifyOptions{DNSName: name, Roots: roots}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left := time.Until(ca.cert.NotAfter); left < 9*365*24*time.Hour {
		t.Errorf("the authority ends in %s", left)
	}
	before, authority := read(t, dir, configFile), read(t, dir, caFile)
	if err := Init(dir, nil); !errors.Is(err, ErrExists) {
		t.Errorf("a second init: %v", err)
	}
	if read(t, dir, configFile) != before {
		t.Error("a refused init has changed the configuration")
	}
	if err := Init(dir, []string{"other.example"}); err != nil {
		t.Fatal(err)
	}
	c, err := readConfig(dir)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(c.Names, " ") != "other.example localhost 127.0.0.1 ::1" || read(t, dir, caFile) != authority {
		t.Errorf("names %v, or another authority", c.Names)
	}
	var old config
	if err := json.Unmarshal([]byte(before), &old); err != nil {
		t.Fatal(err)
	}
	if c.Policies["iothubowner"] != old.Policies["iothubowner"] {
		t.Error("other names have changed the keys")
	}
	server, err = readPair(dir, serverFile, serverKeyFile)
	if err != nil || server.cert.VerifyHostname("other.example") != nil || server.cert.VerifyHostname("hub.example") == nil {
		t.Errorf("the certificate is for %v, %v", server.cert.DNSNames, err)
	}
}

// A clock that is not set would make an authority that has ended when it is.
func TestInitRefusesAnUnsetClock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "hub")
	for _, now := range []time.Time{time.Unix(0, 0), time.Date(2024, 5, 13, 0, 0, 0, 0, time.UTC)} {
		err := initAt(dir, nil, now)
		if !errors.Is(err, ErrClock) || !strings.Contains(err.Error(), now.UTC().Format(time.RFC3339)) {
			t.Errorf("%s: %v", now, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Error("it was refused, but left a directory")
		}
	}
	if err := initAt(dir, nil, time.Now()); err != nil {
		t.Fatal(err)
	}
	before := read(t, dir, configFile) + read(t, dir, serverFile)
	if err := initAt(dir, []string{"other.example"}, time.Unix(0, 0)); !errors.Is(err, ErrClock) {
		t.Errorf("another name: %v", err)
	}
	if read(t, dir, configFile)+read(t, dir, serverFile) != before {
		t.Error("a refused init has changed something")
	}
}

func TestInitRefusesNames(t *testing.T) {
	for _, name := range []string{"", "a b", "a:1", "https://a", "a/b", "*.a", strings.Repeat("a", 254)} {
		dir := filepath.Join(t.TempDir(), "hub")
		if err := Init(dir, []string{name}); err == nil {
			t.Errorf("%q was taken", name)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%q was refused, but left a directory", name)
		}
	}
}

// An init that was interrupted before its end can be repeated.
func TestInitAfterInterruptedInit(t *testing.T) {
	dir := initDir(t)
	if err := os.Remove(filepath.Join(dir, configFile)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{databaseFile, databaseFile + "-wal"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("of a hub of before"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := Init(dir, nil); err != nil {
		t.Fatal(err)
	}
	h, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{caFile, databaseFile, databaseFile + "-wal"} {
		if _, err := os.Stat(filepath.Join(dir, name+".aside-unfinished")); err != nil {
			t.Errorf("what was there was not kept: %v", err)
		}
	}
	if err := Init(dir, nil); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
}

func TestServerCertificateIsRenewed(t *testing.T) {
	dir := initDir(t)
	names := withLocalNames(nil)
	now := time.Now()
	first, err := serverCertificate(dir, names, now)
	if err != nil {
		t.Fatal(err)
	}
	renewed := func(names []string, now time.Time) bool {
		t.Helper()
		before := read(t, dir, serverFile)
		if _, err := serverCertificate(dir, names, now); err != nil {
			t.Fatal(err)
		}
		return read(t, dir, serverFile) != before
	}
	end := first.Leaf.NotAfter
	if renewed(names, end.Add(-31*24*time.Hour)) {
		t.Error("renewed with 31 days left")
	}
	if !renewed(names, end.Add(-29*24*time.Hour)) {
		t.Error("not renewed with 29 days left")
	}
	if renewed(names, time.Unix(0, 0)) {
		t.Error("renewed by a clock that is not set")
	}
	if !renewed(append(names, "new.example"), now) {
		t.Error("not renewed for a new name")
	}
	// A crash between the key and the certificate leaves two that do not fit.
	other, err := newAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.write(dir, "x.pem", serverKeyFile); err != nil {
		t.Fatal(err)
	}
	if !renewed(names, now) {
		t.Error("not renewed though its key does not fit")
	}
	if err := os.Remove(filepath.Join(dir, serverFile)); err != nil {
		t.Fatal(err)
	}
	if _, err := serverCertificate(dir, names, now); err != nil {
		t.Error(err)
	}
}

func TestConnectionString(t *testing.T) {
	dir := initDir(t)
	text := func(policy string) string {
		t.Helper()
		s, err := ConnectionString(dir, policy)
		if err != nil {
			t.Fatal(err)
		}
		c, err := iothub.ParseServiceConnectionString(s)
		if err != nil {
			t.Fatal(err)
		}
		return c.HostName + " " + c.SharedAccessKeyName
	}
	if got := text("service"); got != "localhost:8443 service" {
		t.Error(got)
	}
	for address, want := range map[string]string{"127.0.0.1:443": "localhost", "[::]:1234": "localhost:1234"} {
		if err := writeJSON(filepath.Join(dir, endpointsFile), endpoints{HTTPS: address}); err != nil {
			t.Fatal(err)
		}
		if got := text("iothubowner"); got != want+" iothubowner" {
			t.Error(got)
		}
	}
	if _, err := ConnectionString(dir, "root"); err == nil {
		t.Error("an unknown policy")
	}
	if _, err := ConnectionString(t.TempDir(), "service"); !errors.Is(err, ErrNoHub) {
		t.Error(err)
	}
}

// What a newer latchhub wrote is refused and left as it is.
func TestNewerFormats(t *testing.T) {
	dir := initDir(t)
	path := filepath.Join(dir, databaseFile)
	s, err := openStore(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.w.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	before := read(t, dir, databaseFile)
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "newer latchhub") {
		t.Errorf("a newer database: %v", err)
	}
	if read(t, dir, databaseFile) != before {
		t.Error("a newer database was changed")
	}
	config := strings.Replace(read(t, dir, configFile), `"format": 1`, `"format": 2`, 1)
	if err := os.WriteFile(filepath.Join(dir, configFile), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "newer latchhub") {
		t.Errorf("a newer configuration: %v", err)
	}
}

func TestDatabaseSettings(t *testing.T) {
	s := testStore(t)
	for db, settings := range map[*sql.DB]map[string]string{
		s.w: {"journal_mode": "wal", "synchronous": "1", "foreign_keys": "1", "busy_timeout": "10000"},
		s.r: {"journal_mode": "wal", "query_only": "1", "busy_timeout": "10000"},
	} {
		for name, want := range settings {
			var got string
			if err := db.QueryRow("PRAGMA " + name).Scan(&got); err != nil || got != want {
				t.Errorf("%s is %s, %v; want %s", name, got, err, want)
			}
		}
	}
	if _, err := s.r.Exec("DELETE FROM devices"); err == nil {
		t.Error("a reading connection has written")
	}
	ctx := context.Background()
	var during string
	err := s.writeDurably(ctx, func(tx *sql.Tx) error { return tx.QueryRow("PRAGMA synchronous").Scan(&during) })
	var after string
	if err := errors.Join(err, s.w.QueryRow("PRAGMA synchronous").Scan(&after)); err != nil || during != "2" || after != "1" {
		t.Errorf("synchronous is %s in a durable write and %s after it, %v", during, after, err)
	}
}

func testStore(t *testing.T) *store {
	t.Helper()
	s, err := openStore(filepath.Join(t.TempDir(), "hub.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}
