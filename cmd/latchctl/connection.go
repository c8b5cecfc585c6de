package main

import (
	"bytes"
	"crypto/x509"
	"io"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"latchd/internal/version"
	"latchd/iothub"
	"latchd/iothub/service"
)

const (
	envConnection     = "IOTHUB_CONNECTION_STRING" // the name that Azure's own samples use
	envConnectionFile = "LATCHCTL_CONNECTION_STRING_FILE"
	envCA             = "LATCHCTL_CA"

	// maxFile bounds what is read of a connection-string or CA file; a bundle
	// of all public authorities has about 250 KB.
	maxFile = 1 << 20
)

func connectionTopic() *cobra.Command {
	return &cobra.Command{
		Use:   "connection",
		Short: "how latchctl finds and trusts its hub",
		Long: `The hub's connection string, like

  HostName=HOST[:PORT];SharedAccessKeyName=POLICY;SharedAccessKey=KEY

is taken from the first of these that there is:

  --connection-string TEXT         visible to others in the list of processes
  --connection-string-file FILE    must be readable by you alone: chmod 600 FILE
  IOTHUB_CONNECTION_STRING         environment, the text
  LATCHCTL_CONNECTION_STRING_FILE  environment, a file's name
  latchctl/connection-string       in your configuration folder
                                   (~/.config on Linux)

For Azure it is printed by
  az iot hub connection-string show --hub-name HUB --policy-name service

A local hub has its own certificate authority. Its file is given with --ca FILE
or LATCHCTL_CA and trusted beside the system's.`,
	}
}

// connect makes the client of the hub that the flags or the environment name.
func (p *program) connect() (*service.Client, error) {
	cs, err := p.connectionString()
	if err != nil {
		return nil, err
	}
	roots, err := p.roots()
	if err != nil {
		return nil, err
	}
	return service.New(cs, service.Options{RootCAs: roots, UserAgent: "latchctl/" + version.Version}), nil
}

// connectionString finds the connection string, once: a file like a shell's
// <(…) can be read only once. No error repeats it.
func (p *program) connectionString() (iothub.ConnectionString, error) {
	if p.hub.HostName != "" {
		return p.hub, nil
	}
	text, from, err := p.findConnectionString()
	if err != nil {
		return iothub.ConnectionString{}, err
	}
	cs, err := iothub.ParseServiceConnectionString(text)
	if err != nil {
		return cs, usagef("%s: %w", from, err)
	}
	p.hub = cs
	return cs, nil
}

func (p *program) findConnectionString() (text, from string, err error) {
	if p.connection != "" && p.connectionFile != "" {
		return "", "", usagef("--connection-string and --connection-string-file exclude each other")
	}
	if p.connection != "" {
		return p.connection, "--connection-string", nil
	}
	if p.connectionFile != "" {
		text, err = readSecret(p.connectionFile)
		return text, p.connectionFile, err
	}
	if text := p.env(envConnection); text != "" {
		return text, envConnection, nil
	}
	if file := p.env(envConnectionFile); file != "" {
		text, err = readSecret(file)
		return text, file, err
	}
	if dir := p.configDir(); dir != "" {
		file := filepath.Join(dir, "latchctl", "connection-string")
		if _, err := os.Stat(file); err == nil {
			text, err = readSecret(file)
			return text, file, err
		}
	}
	return "", "", withHint(usagef("no connection string of a hub is given"),
		"set %s, or see `latchctl help connection`", envConnection)
}

// configDir is the user's configuration folder, as os.UserConfigDir finds it,
// but from the environment that Run was given.
func (p *program) configDir() string {
	home := p.env("HOME")
	switch {
	case runtime.GOOS == "windows":
		return p.env("AppData")
	case runtime.GOOS == "darwin" && home != "":
		return filepath.Join(home, "Library", "Application Support")
	case filepath.IsAbs(p.env("XDG_CONFIG_HOME")):
		return p.env("XDG_CONFIG_HOME")
	case home != "":
		return filepath.Join(home, ".config")
	}
	return ""
}

// readSecret reads a file that only its owner may read. What is not a regular
// file, such as a shell's <(…), has no permissions worth a look.
func readSecret(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", usagef("connection string: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", usagef("connection string: %w", err)
	}
	if info.Mode().IsRegular() && openToOthers(info.Mode()) {
		return "", withHint(usagef("connection string: others may read %s (mode %04o)", name, info.Mode().Perm()),
			"chmod 600 %s", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		return "", usagef("connection string: %w", err)
	}
	return string(trimBOM(text)), nil
}

// openToOthers tells whether anyone but the owner has a right to the file.
// Windows keeps rights elsewhere, and Go's mode says nothing about them.
func openToOthers(mode os.FileMode) bool {
	return runtime.GOOS != "windows" && mode.Perm()&0o077 != 0
}

// roots are the system's certificate authorities and the operator's own; nil
// means the system's alone.
func (p *program) roots() (*x509.CertPool, error) {
	name := p.caFile
	if name == "" {
		name = p.env(envCA)
	}
	if name == "" {
		return nil, nil
	}
	text, err := readFile(name, maxFile)
	if err != nil {
		return nil, usagef("certificate authority: %w", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil { // a machine without any is no reason to fail: here is one
		pool = x509.NewCertPool()
	}
	if !pool.AppendCertsFromPEM(text) {
		return nil, usagef("certificate authority: %s holds no certificate in PEM form", name)
	}
	return pool, nil
}

// trimBOM removes the mark that Windows editors put before UTF-8.
func trimBOM(text []byte) []byte { return bytes.TrimPrefix(text, []byte("\ufeff")) }
