package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"latchd/internal/atomicfile"
)

// system is this machine, as far as configure touches it.
type system struct {
	root string // what stands for "/" in a test
	uid  int    // who runs this
	bus  func(context.Context) (*dbus.Conn, error)
}

func thisSystem() system {
	return system{uid: os.Geteuid(), bus: func(ctx context.Context) (*dbus.Conn, error) {
		return dbus.ConnectSystemBus(dbus.WithContext(ctx))
	}}
}

func (s system) path(absolute string) string { return filepath.Join(s.root, absolute) }

// Where credentials are stored. The unit names the directories.
const (
	configurationDir = "/etc/latchd"
	plainDir         = configurationDir + "/credentials"
	encryptedDir     = configurationDir + "/credentials.encrypted"
	// systemdEncrypts is where systemd from version 256 on encrypts credentials.
	systemdEncrypts = "/run/systemd/io.systemd.Credentials"
)

// store puts a set in place of whatever is stored, encrypted if systemd offers
// that. After an error what was stored is as it was, unless the error says so. It
// tells where the set is now.
//
// The new files are made in a directory of their own, which then changes places
// with the old one: a power cut leaves one or the other. The directory of the
// other kind is emptied after that; until it is, there are two whole sets, of
// which the service takes the encrypted one.
func (s system) store(ctx context.Context, set credentialSet, unsealed bool) (where string, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("store the credentials: %w", err)
		}
	}()
	target, other := plainDir, encryptedDir
	if _, err := os.Stat(s.path(systemdEncrypts)); err == nil && !unsealed {
		if set, err = s.encryptAll(ctx, set); err != nil {
			return "", fmt.Errorf("%w; nothing was changed (--plain stores without encrypting)", err)
		}
		target, other = encryptedDir, plainDir
	}
	const configurationMode = 0o755 // of /etc/latchd, where the package did not make it
	if err := os.MkdirAll(s.path(configurationDir), configurationMode); err != nil {
		return "", fmt.Errorf("%w; nothing was changed", err)
	}
	release, err := lockConfigure(s.path(configurationDir))
	if err != nil {
		return "", fmt.Errorf("%w; nothing was changed", err)
	}
	defer release()
	if placed, err := replaceDirectory(s.path(target), set); err != nil && placed {
		return "", fmt.Errorf("the new ones are in %s, but may be lost in a power cut: %w", target, err)
	} else if err != nil {
		return "", fmt.Errorf("%w; nothing was changed", err)
	}
	if _, err := replaceDirectory(s.path(other), nil); err != nil {
		return "", fmt.Errorf("the new ones are in %s, but the old ones in %s could not be removed; remove its files: %w", target, other, err)
	}
	if target == encryptedDir {
		return target + ", encrypted by systemd", nil
	}
	return target + ", for root and the service alone", nil
}

// lockConfigure keeps a second configure out, by a lock on a file that only root can
// open.
func lockConfigure(dir string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ".configure.lock"), os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, errors.New("another latchd configure is running")
	}
	return func() { _ = f.Close() }, nil
}

// replaceDirectory makes dir hold the files of the set and nothing else, all at
// once. placed tells, after an error, whether it does.
func replaceDirectory(dir string, set credentialSet) (placed bool, err error) {
	next := dir + ".new"
	if err := os.RemoveAll(next); err != nil { // of a run that was killed
		return false, err
	}
	if err := os.Mkdir(next, 0o700); err != nil {
		return false, err
	}
	defer os.RemoveAll(next) // the old files, or after an error the new ones
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if err := atomicfile.WriteFile(filepath.Join(next, name), set[name], 0o600); err != nil {
			return false, err
		}
	}
	if err := atomicfile.SyncDir(next); err != nil {
		return false, err
	}
	if err := exchange(next, dir); err != nil {
		return false, fmt.Errorf("put %s in the place of %s: %w", next, dir, err)
	}
	return true, atomicfile.SyncDir(filepath.Dir(dir))
}

// exchange puts a directory in the place of another, which may be missing, and that
// one in its place. Where the file system cannot do it at once, as an overlay
// cannot, it takes two steps.
func exchange(next, dir string) error {
	err := unix.Renameat2(unix.AT_FDCWD, next, unix.AT_FDCWD, dir, unix.RENAME_EXCHANGE)
	switch {
	case errors.Is(err, fs.ErrNotExist): // the first time
		return os.Rename(next, dir)
	case errors.Is(err, unix.EXDEV), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOSYS):
		old := dir + ".old"
		if err := os.RemoveAll(old); err != nil {
			return err
		}
		if err := os.Rename(dir, old); err != nil {
			return err
		}
		if err := os.Rename(next, dir); err != nil {
			return errors.Join(err, os.Rename(old, dir))
		}
		return os.Rename(old, next)
	}
	return err
}

// encryptAll has systemd encrypt each file under the name by which the unit loads
// it: with another name it is of no use.
func (s system) encryptAll(ctx context.Context, set credentialSet) (credentialSet, error) {
	sealed := credentialSet{}
	for name, text := range set {
		blob, err := encrypt(ctx, s.path(systemdEncrypts), encryptedCredentials+name, text)
		if err != nil {
			return nil, fmt.Errorf("have systemd encrypt %s: %w", name, err)
		}
		sealed[name] = []byte(blob)
	}
	return sealed, nil
}

// encryptWithin bounds one encryption; a slow TPM takes a second or two.
const encryptWithin = 20 * time.Second

// encrypt is one call of io.systemd.Credentials.Encrypt by Varlink: a JSON object
// and a zero byte, each way. The answer is the text that LoadCredentialEncrypted=
// reads.
func encrypt(ctx context.Context, socket, name string, text []byte) (blob string, err error) {
	ctx, cancel := context.WithTimeout(ctx, encryptWithin)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	call, err := json.Marshal(map[string]any{
		"method":     "io.systemd.Credentials.Encrypt",
		"parameters": map[string]any{"name": name, "data": text},
	})
	if err != nil {
		return "", err
	}
	if _, err := conn.Write(append(call, 0)); err != nil {
		return "", err
	}
	const longest = 4 * maxCredential // base64, and what systemd adds
	answer, err := readMessage(io.LimitReader(conn, longest))
	if err != nil {
		return "", fmt.Errorf("its answer: %w", err)
	}
	var reply struct {
		Error      string `json:"error"`
		Parameters struct {
			Blob string `json:"blob"`
		} `json:"parameters"`
	}
	switch err := json.Unmarshal(answer, &reply); {
	case err != nil:
		return "", fmt.Errorf("its answer: %w", err)
	case reply.Error != "":
		return "", fmt.Errorf("it refused (%s)", reply.Error)
	case reply.Parameters.Blob == "":
		return "", errors.New("its answer has no encrypted text")
	}
	return reply.Parameters.Blob, nil
}

// readMessage reads up to a zero byte.
func readMessage(r io.Reader) ([]byte, error) {
	var message []byte
	buf := make([]byte, 4096)
	for {
		n, err := r.Read(buf)
		if i := bytes.IndexByte(buf[:n], 0); i >= 0 {
			return append(message, buf[:i]...), nil
		}
		message = append(message, buf[:n]...)
		if err == io.EOF {
			return nil, io.ErrUnexpectedEOF
		}
		if err != nil {
			return nil, err
		}
	}
}
