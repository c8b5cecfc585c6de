package health

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

func checkService(ctx context.Context, f *Facts) finding {
	s := f.Service
	switch {
	case s.Simulated:
		return fine("the service simulates a machine")
	case !s.Asked:
		return faultServiceDown.with("nothing answers at its control socket")
	case !s.Managed:
		return fine("the service was started by hand, so nothing starts it again and nothing keeps the lock's line")
	case f.Door == nil || s.Kept == nil:
		return fine("the service runs under systemd")
	}
	kept, err := s.Kept(ctx)
	if err != nil {
		return fine("the service runs under systemd, which does not say what it keeps for it: %v", err)
	}
	if kept == 0 {
		return faultLineNotKept.with()
	}
	return fine("the service runs under systemd, which keeps the lock's line for it")
}

func checkConfiguration(_ context.Context, f *Facts) finding {
	c := f.Configuration
	if c.File == "" {
		return notHere("there is no configuration file")
	}
	if c.Parse != nil {
		if err := c.Parse(); err != nil {
			return faultConfigurationWrong.with(err)
		}
	}
	if c.InUse != "" {
		return faultConfigurationInUse.with(c.InUse)
	}
	for _, named := range c.Named {
		// One that this process may not look at is there, as far as it can tell.
		if _, err := os.Stat(f.tree().path(named.Path)); err != nil && !errors.Is(err, fs.ErrPermission) {
			return faultNamedFile.with(named.Key, named.Path, reason(err))
		}
	}
	return fine("%s is in order", c.File)
}

// credentialDirectories are where the package keeps credentials. The service sees
// copies; what others can read is decided here.
var credentialDirectories = []string{"/etc/latchd/credentials", "/etc/latchd/credentials.encrypted"}

func checkPermissions(_ context.Context, f *Facts) finding {
	if f.Configuration.File == "" {
		return notHere("there is no configuration file")
	}
	// Who can write the directory can put another file in the configuration's place.
	files := append([]NamedFile{
		{Path: f.Configuration.File, Secret: f.Configuration.Secret}, {Path: filepath.Dir(f.Configuration.File)},
	}, f.Configuration.Named...)
	for _, dir := range credentialDirectories {
		files = append(files, NamedFile{Path: dir, Secret: true})
		for _, name := range f.tree().glob(dir + "/*") {
			files = append(files, NamedFile{Path: name, Secret: true})
		}
	}
	looked := 0
	for _, file := range files {
		info, err := os.Stat(f.tree().path(file.Path))
		if err != nil {
			continue // the check configuration tells of a missing one
		}
		looked++
		if found := f.permissions(file, info); found.fault != nil {
			return found
		}
	}
	return fine("%d files have the right owner and mode", looked)
}

func (f *Facts) permissions(file NamedFile, info fs.FileInfo) finding {
	const (
		groupWrites, groupReads = 0o020, 0o040
		othersWrite, othersRead = 0o002, 0o004
	)
	mode := info.Mode().Perm()
	writes, reads := fs.FileMode(othersWrite), fs.FileMode(othersRead)
	uid, gid, known := owner(info)
	// Being in the group of root or of the service is being one of them; systemd
	// gives credentials to the service by an access list, which shows as the group's
	// mode.
	if known && gid != 0 && gid != f.GID {
		writes, reads = writes|groupWrites, reads|groupReads
	}
	switch {
	case known && uid != 0 && uid != f.UID:
		return faultOwner.with(file.Path, uid)
	case mode&writes != 0 && info.Mode()&fs.ModeSticky == 0: // as /tmp is: what is another's, nobody can replace
		return faultWritable.with(file.Path, mode)
	case file.Secret && mode&reads != 0:
		return faultSecretReadable.with(file.Path, mode)
	}
	return fine("")
}

func checkStateDirectory(ctx context.Context, f *Facts) finding {
	if f.StateDir == "" {
		return notHere("nothing is kept")
	}
	info, err := os.Stat(f.tree().path(f.StateDir))
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory")
	}
	if errors.Is(err, fs.ErrNotExist) && !f.Service.Asked {
		return fine("%s is not there; the service makes it when it starts", f.StateDir)
	}
	if err != nil {
		return faultStateMissing.with(f.StateDir, reason(err))
	}
	if uid, _, known := owner(info); known && uid != f.UID {
		return faultStateForeign.with(f.StateDir, uid, f.UID)
	}
	if f.Lockable != nil {
		if err := f.Lockable(f.tree().path(f.StateDir)); err != nil {
			return faultStateLock.with(f.StateDir, reason(err))
		}
	}
	if f.Unsaved != nil {
		if why := f.Unsaved(ctx); why != "" {
			return faultStateUnsaved.with(why)
		}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return faultStateOpen.with(f.StateDir, mode)
	}
	return fine("%s is the service's own", filepath.Clean(f.StateDir))
}
