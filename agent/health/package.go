package health

import (
	"context"
	"crypto/md5" // what dpkg writes; it finds bad cards, not attackers
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
)

// sumsFile is where dpkg keeps the checksums of the package's files. The
// configuration is not among them: it is for people to change.
const sumsFile = "var/lib/dpkg/info/latchd.md5sums"

// maxPackage bounds what is read for the check, in bytes: the package has some
// 10 MB. On the slowest machine that is half a second of work.
const maxPackage = 32 << 20

func checkPackage(ctx context.Context, f *Facts) finding {
	t := f.tree()
	sums, err := t.read(sumsFile)
	if err != nil {
		return notHere("latchd was not installed as a package")
	}
	var wrong []string
	unread := 0
	files, left := 0, int64(maxPackage)
	for line := range strings.Lines(sums) {
		want, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok {
			continue
		}
		if ctx.Err() != nil || left <= 0 {
			return fine("the first %d files are as they were packed; there was no time for more", files)
		}
		sum, size, err := t.md5(name, left)
		left -= size
		if errors.Is(err, fs.ErrNotExist) && isDocumentation(name) {
			continue // documentation that somebody told dpkg to leave out (path-exclude)
		}
		if errors.Is(err, fs.ErrPermission) {
			unread++ // the service may not look everywhere: Debian 12 keeps polkit's rules to polkit
			continue
		}
		files++
		switch {
		case err != nil:
			wrong = append(wrong, "/"+name+" ("+reason(err)+")")
		case sum != want && left > 0:
			wrong = append(wrong, "/"+name)
		}
	}
	if len(wrong) > 0 {
		return faultPackageFiles.with(strings.Join(wrong, ", "))
	}
	if unread > 0 {
		return fine("%d files are as they were packed; %d more the service may not read", files, unread)
	}
	return fine("%d files are as they were packed", files)
}

func isDocumentation(name string) bool {
	for _, dir := range []string{"usr/share/doc/", "usr/share/man/", "usr/share/lintian/"} {
		if strings.HasPrefix(name, dir) {
			return true
		}
	}
	return false
}

// md5 reads at most that many bytes, and tells how many there were.
func (t tree) md5(name string, most int64) (sum string, size int64, err error) {
	file, err := os.Open(t.path(name))
	if err != nil {
		return "", 0, err
	}
	defer file.Close()
	hash := md5.New()
	size, err = io.Copy(hash, io.LimitReader(file, most))
	return hex.EncodeToString(hash.Sum(nil)), size, err
}
