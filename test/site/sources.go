package site

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// seeSources looks at what the programs are made of. Another process builds
// them, so go test knows nothing of that and would take the result of an earlier
// run for theirs; but it does know what a test looks at. Only the first test of
// a process needs to.
var seeSources = sync.OnceValue(func() error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	for {
		if _, err := os.Stat(filepath.Join(root, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(root)
		if parent == root {
			return fs.ErrNotExist
		}
		root = parent
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		switch name := entry.Name(); {
		case err != nil:
			return err
		case entry.IsDir() && path != root && (name == "node_modules" || name == "testdata" || name == "build" || strings.HasPrefix(name, ".")):
			return fs.SkipDir
		case strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go"), name == "go.mod":
			_, err = os.Stat(path)
		}
		return err
	})
})
