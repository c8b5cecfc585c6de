package arch

import (
	"bytes"
	"slices"
	"testing"
)

// What ties a tree to one machine or network. Written in halves, because this file is searched too.
var local = []string{
	"/wo" + "rk/",
	"/ro" + "ot/",
	"/Us" + "ers/",
	"proxy" + ".golang",
	"GOPROXY" + "=",
	"GONOSUMDB" + "=",
}

func TestNoFileKnowsTheMachineItWasWrittenOn(t *testing.T) {
	files(t, func(name string, content []byte) {
		for _, word := range local {
			if before, _, found := bytes.Cut(content, []byte(word)); found {
				t.Errorf("%s:%d contains %q", name, bytes.Count(before, []byte("\n"))+1, word)
			}
		}
	})
}

// Cross-compiling needs nothing but Go only as long as this holds.
func TestNoCgo(t *testing.T) {
	for _, s := range sources(t) {
		if slices.Contains(s.imports(), "C") {
			t.Errorf("%s uses cgo", s.name)
		}
	}
}
