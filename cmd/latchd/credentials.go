package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"latchd/internal/version"
	"latchd/iothub"
	"latchd/iothub/device"
)

// The device's credentials are four files at most. The configuration may name
// each; those that `latchd configure` stored come from systemd, which is told by
// LoadCredential= to show them to the service alone, in $CREDENTIALS_DIRECTORY.
const (
	connectionFile  = "connection-string"
	certificateFile = "certificate.pem"
	keyFile         = "key.pem"
	caFile          = "ca.pem"
)

// A credential of a directory is called as the unit calls the directory, "_" and
// the file's name (systemd.exec(5), LoadCredential=). Plain and encrypted ones
// have a name each, because for one name systemd would load the last directory
// only.
const (
	plainCredentials     = "latchd_"
	encryptedCredentials = "latchd-encrypted_"
	// undecryptable is there when encrypted ones are stored, and none was passed on
	// because this machine cannot decrypt them (packaging/latchd/pass-credentials).
	undecryptable = "latchd-note_undecryptable"
)

// errNotConfigured says that nobody has told the device its hub yet.
var errNotConfigured = errors.New("not configured: run sudo latchd configure")

// errUndecryptable says that somebody did, and what was stored then is of no use.
var errUndecryptable = errors.New("this machine cannot decrypt the stored credentials: run sudo latchd configure")

// credentials are what the device proves itself with, and whom it trusts.
type credentials struct {
	connection  iothub.ConnectionString
	certificate *tls.Certificate // nil: it has a key
	roots       *x509.CertPool   // nil: whom the system trusts
}

// credentialFiles are the names of the files; "" for one that there is not.
type credentialFiles struct{ connection, certificate, key, ca string }

// storedFiles finds what `latchd configure` stored in systemd's directory for
// this service. Were it killed at the wrong moment, there may be two sets; each
// is whole, and one is taken as a whole.
func storedFiles(dir string) (credentialFiles, error) {
	if dir == "" {
		return credentialFiles{}, errNotConfigured
	}
	for _, prefix := range []string{encryptedCredentials, plainCredentials} {
		find := func(name string) string {
			path := filepath.Join(dir, prefix+name)
			if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
				return ""
			}
			return path // whatever else is wrong with it, reading it will tell
		}
		if connection := find(connectionFile); connection != "" {
			return credentialFiles{connection, find(certificateFile), find(keyFile), find(caFile)}, nil
		}
	}
	if _, err := os.Lstat(filepath.Join(dir, undecryptable)); err == nil {
		return credentialFiles{}, errUndecryptable
	}
	return credentialFiles{}, errNotConfigured
}

// files is the rule of what counts; dir is systemd's directory of credentials. A connection string of the configuration's own
// goes with the configuration's other files only; what was stored is for the
// device that was stored. Otherwise each file that the configuration names wins.
func (h hubConfig) files(dir string) (credentialFiles, error) {
	if err := h.keyForFile(); err != nil {
		return credentialFiles{}, err
	}
	named := credentialFiles{h.ConnectionStringFile, h.CertificateFile, h.KeyFile, h.CAFile}
	if named.connection != "" || h.ConnectionString != "" {
		return named, nil
	}
	stored, err := storedFiles(dir)
	if err != nil {
		return credentialFiles{}, err
	}
	files := stored
	if named.certificate != "" || named.key != "" { // a pair belongs together
		files.certificate, files.key = named.certificate, named.key
	}
	files.ca = firstOf(named.ca, stored.ca)
	return files, nil
}

// connectionString finds the device's connection string.
func connectionString(h hubConfig) (iothub.ConnectionString, error) {
	files, err := h.files(os.Getenv("CREDENTIALS_DIRECTORY"))
	if err != nil {
		return iothub.ConnectionString{}, err
	}
	return files.readConnection(h.ConnectionString)
}

// readConnection reads the connection string from its file, or from text where it
// has none.
func (f credentialFiles) readConnection(text string) (iothub.ConnectionString, error) {
	if f.connection != "" {
		b, err := os.ReadFile(f.connection)
		if err != nil {
			return iothub.ConnectionString{}, fmt.Errorf("read the connection string: %w", err)
		}
		text = string(b)
	}
	return iothub.ParseDeviceConnectionString(text)
}

// findCredentials reads all that the device needs for its hub. The error is
// errNotConfigured where there is nothing.
func findCredentials(h hubConfig) (credentials, error) {
	var c credentials
	files, err := h.files(os.Getenv("CREDENTIALS_DIRECTORY"))
	if err != nil {
		return c, err
	}
	if c.connection, err = files.readConnection(h.ConnectionString); err != nil {
		return c, err
	}
	if c.connection.X509 {
		if files.certificate == "" || files.key == "" {
			return c, errors.New("the connection string says x509=true, so hub.certificate_file and hub.key_file are needed")
		}
		if c.certificate, err = device.LoadCertificate(files.certificate, files.key); err != nil {
			return c, err
		}
	}
	if files.ca != "" {
		c.roots, err = device.LoadRootCAs(files.ca)
	}
	return c, err
}

// client is the configuration of a connection to the hub with these credentials,
// the same for the service and for a check: the hub must see one device.
func (c credentials) client() device.Config {
	return device.Config{
		Connection: c.connection, Certificate: c.certificate, RootCAs: c.roots,
		Product: "latchd/" + version.Version,
		ModelID: modelID,
	}
}
