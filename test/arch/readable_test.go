package arch

import (
	"regexp"
	"strings"
	"testing"
)

// A doc comment teaches a model: what the package is, what always holds in it, what it is not. That does not fit
// in one sentence; three sentences of some substance are the least.
const (
	minDocSentences = 3
	minDocLength    = 200 // bytes
)

// A file is one concept. About 300 lines is where to ask whether it is still one; at 400 it is not.
const (
	longFile    = 300
	tooLongFile = 400
)

var sentenceEnd = regexp.MustCompile(`[^.\s][.!?]["”)]?(\s|$)`)

func TestPackagesExplainThemselves(t *testing.T) {
	dirs, packages := byPackage(sources(t))
	for _, dir := range dirs {
		var doc string
		onlyTests := true
		for _, s := range packages[dir] {
			if s.test {
				continue
			}
			onlyTests = false
			if d := s.file.Doc.Text(); d != "" {
				if doc != "" {
					t.Errorf("%s: more than one file has a package comment; keep it in one place", dir)
				}
				doc = d
			}
		}
		if onlyTests {
			continue
		}
		if fault := docFault(doc); fault != "" {
			t.Errorf("package %s: its doc comment %s", dir, fault)
		}
	}
}

func docFault(doc string) string {
	switch {
	case doc == "":
		return "is missing"
	case len(sentenceEnd.FindAllString(doc, -1)) < minDocSentences || len(doc) < minDocLength:
		return "is too short to teach anybody what it is, what holds in it and what it is not: " + strings.TrimSpace(doc)
	}
	return ""
}

func TestDocFault(t *testing.T) {
	good := "Package a is this. " + strings.Repeat("It keeps that true for everybody who asks. ", 5) + "It is not those."
	if fault := docFault(good); fault != "" {
		t.Errorf("a good comment %s", fault)
	}
	for _, bad := range []string{"", "Package a is this.", strings.Repeat("words without an end ", 30)} {
		if docFault(bad) == "" {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		switch {
		case s.test:
		case s.lines > tooLongFile:
			t.Errorf("%s has %d lines; split it by concept (%d is the limit)", s.name, s.lines, tooLongFile)
		case s.lines > longFile:
			t.Logf("%s has %d lines: is it still one concept?", s.name, s.lines)
		}
	}
}
