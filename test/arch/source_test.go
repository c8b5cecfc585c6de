package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "latchd"
	root   = "../.." // of the tree, seen from this package
)

// A source is one Go file, of whatever platform.
type source struct {
	name  string // slash-separated, from the root of the tree
	file  *ast.File
	lines int
	test  bool
}

// dir is the source's package as the import table writes it: "hub/query".
func (s source) dir() string { return path.Dir(s.name) }

// imports are the import paths of the source.
func (s source) imports() []string {
	var paths []string
	for _, spec := range s.file.Imports {
		p, _ := strconv.Unquote(spec.Path.Value) // a file that parses has well-formed paths
		paths = append(paths, p)
	}
	return paths
}

// files calls f with every file of the tree that is ours: not what git, make, npm or an editor put there.
func files(t *testing.T, f func(name string, content []byte)) {
	t.Helper()
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		hidden := strings.HasPrefix(d.Name(), ".") && name != "."
		switch {
		case d.IsDir() && (name == "build" || d.Name() == "node_modules" || hidden && name != ".ci"):
			return fs.SkipDir
		case !d.Type().IsRegular() || hidden && name != ".gitignore":
			return nil
		}
		content, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		f(name, content)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// sources parses every Go file of the module: not of tools, which is a module of its own, nor of testdata.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	fset := token.NewFileSet()
	files(t, func(name string, content []byte) {
		if path.Ext(name) != ".go" || strings.HasPrefix(name, "tools/") || slices.Contains(strings.Split(name, "/"), "testdata") {
			return
		}
		file, err := parser.ParseFile(fset, name, content, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Error(err)
			return
		}
		all = append(all, source{
			name:  name,
			file:  file,
			lines: fset.Position(file.FileEnd).Line,
			test:  strings.HasSuffix(name, "_test.go"),
		})
	})
	if len(all) == 0 {
		t.Fatal("found no Go file: these tests would approve of anything")
	}
	return all
}

// byPackage groups sources by directory and returns the directories in order.
func byPackage(all []source) ([]string, map[string][]source) {
	packages := make(map[string][]source)
	for _, s := range all {
		packages[s.dir()] = append(packages[s.dir()], s)
	}
	return slices.Sorted(maps.Keys(packages)), packages
}
