package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"latchd/iothub"
	"latchd/iothub/device"
)

// credentialSet is the content of the files to store, by name; those that are not
// in it are not to be there.
type credentialSet map[string][]byte

// maxCredential bounds what is read as a credential, in bytes: a bundle of all
// roots of an operating system has a quarter of that, and systemd takes no more.
const maxCredential = 1 << 20

// errNoTerminal says that there is nobody to ask.
var errNoTerminal = errors.New("there is no terminal to ask for the connection string at; give --connection-string-file FILE, or - for standard input")

// read gathers what the options name, or asks.
func (p program) read(ctx context.Context, o configureOptions) (credentialSet, error) {
	set := credentialSet{}
	for _, f := range []struct{ name, file, what string }{
		{certificateFile, o.certificate, "the certificate"},
		{keyFile, o.key, "the certificate's key"},
		{caFile, o.ca, "the CA file"},
	} {
		if f.file == "" {
			continue
		}
		text, err := readCredential(ctx, f.file)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", f.what, err)
		}
		set[f.name] = text
	}
	text, err := p.readConnection(ctx, o)
	if err != nil {
		return nil, err
	}
	connection, err := iothub.ParseDeviceConnectionString(text)
	if err != nil {
		return nil, err
	}
	// As it was understood, without what a terminal or an editor put around it.
	set[connectionFile] = []byte(connection.Reveal())
	return set, nil
}

func (p program) readConnection(ctx context.Context, o configureOptions) (string, error) {
	switch {
	case o.host != "":
		return iothub.ConnectionString{HostName: o.host, DeviceID: o.device, X509: true}.Reveal(), nil
	case o.connection != "":
		return o.connection, nil
	case o.connectionFile == "-":
		text, err := asLong(ctx, func() ([]byte, error) { return readBounded(p.stdin) })
		if err != nil {
			err = fmt.Errorf("read the connection string from standard input: %w", err)
		}
		return string(text), err
	case o.connectionFile != "":
		if strings.Contains(strings.ToLower(o.connectionFile), "sharedaccesskey") {
			return "", errors.New("--connection-string-file holds a connection string where the name of a file belongs")
		}
		text, err := readCredential(ctx, o.connectionFile)
		if err != nil {
			err = fmt.Errorf("read the connection string: %w", err)
		}
		return string(text), err
	}
	return askSecret(ctx, p.stdin, p.stderr, "Connection string of this device (it is not shown): ")
}

// readCredential reads a file as long as ctx lasts: one that is a pipe is opened only
// when somebody writes.
func readCredential(ctx context.Context, path string) ([]byte, error) {
	return asLong(ctx, func() ([]byte, error) {
		f, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		return readBounded(f)
	})
}

func readBounded(r io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxCredential+1))
	if err == nil && len(text) > maxCredential {
		err = fmt.Errorf("it has more than %d bytes, so it is no credential", maxCredential)
	}
	return text, err
}

// asLong reads what may never end, like a terminal, as long as ctx lasts.
func asLong(ctx context.Context, read func() ([]byte, error)) ([]byte, error) {
	type outcome struct {
		text []byte
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		text, err := read()
		done <- outcome{text, err}
	}()
	select {
	case o := <-done:
		return o.text, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// validated is a set that a device could be run with.
type validated struct {
	credentials
	warnings []string
}

// validate says what is wrong with a set, and how to mend it. configuredCA is of the
// configuration: without a CA in the set the service trusts by that. Nobody may have
// set the clock yet, so a certificate that is not valid yet is no more than a
// warning.
func (s credentialSet) validate(configuredCA string, now time.Time) (validated, error) {
	var v validated
	var err error
	if v.connection, err = iothub.ParseDeviceConnectionString(string(s[connectionFile])); err != nil {
		return v, err
	}
	certificate, key := s[certificateFile], s[keyFile]
	switch {
	case v.connection.X509 && certificate == nil:
		return v, errors.New("the connection string says x509=true; give the certificate with --certificate and --key")
	case !v.connection.X509 && certificate != nil:
		return v, errors.New("the connection string has a key, so the device has no use for --certificate")
	case certificate != nil:
		if v.certificate, err = device.ParseCertificate(certificate, key); err != nil {
			return v, fmt.Errorf("the device's certificate and key cannot be used: %w", err)
		}
		if err := v.checkDates("the device's certificate", v.certificate.Leaf, now); err != nil {
			return v, err
		}
	}
	if ca := s[caFile]; ca != nil {
		all, err := device.ParseCertificates(ca)
		if err != nil {
			return v, fmt.Errorf("the CA file cannot be used: %w", err)
		}
		v.roots = x509.NewCertPool()
		for _, c := range all {
			if err := v.checkDates("the CA file's certificate "+c.Subject.CommonName, c, now); err != nil {
				return v, err
			}
			v.roots.AddCert(c)
		}
	} else if configuredCA != "" {
		if v.roots, err = device.LoadRootCAs(configuredCA); err != nil {
			return v, fmt.Errorf("hub.ca_file of the configuration: %w", err)
		}
	}
	return v, nil
}

func (v *validated) checkDates(what string, c *x509.Certificate, now time.Time) error {
	const day = "2006-01-02 15:04 MST"
	switch {
	case now.After(c.NotAfter):
		return fmt.Errorf("%s ended on %s; get a new one (this machine's clock says %s)", what, c.NotAfter.UTC().Format(day), now.UTC().Format(day))
	case now.Before(c.NotBefore):
		v.warnings = append(v.warnings, fmt.Sprintf("%s is valid from %s only; check this machine's clock, which says %s", what, c.NotBefore.UTC().Format(day), now.UTC().Format(day)))
	case now.AddDate(0, 0, soonEnds).After(c.NotAfter):
		v.warnings = append(v.warnings, fmt.Sprintf("%s ends on %s; the device is cut off then", what, c.NotAfter.UTC().Format(day)))
	}
	return nil
}

// soonEnds is how many days before its end a certificate is worth a warning: time
// enough to get another one.
const soonEnds = 30
