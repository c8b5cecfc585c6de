package main

import (
	"context"
	"encoding/pem"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"latchd": func() {
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			defer stop()
			os.Exit(scriptProgram().run(ctx, os.Args[1:]))
		},
	})
}

// scriptProgram is the program as a script wants it: FAKE_ROOT stands for the root
// of the file system, FAKE_UID for who runs it.
func scriptProgram() program {
	p := program{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, system: thisSystem()}
	p.system.root = os.Getenv("FAKE_ROOT")
	if uid, err := strconv.Atoi(os.Getenv("FAKE_UID")); err == nil {
		p.system.uid = uid
	}
	return p
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata", RequireExplicitExec: true, RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			// Under the race detector each program that ends well would wait a second,
			// for races in goroutines that have not ended.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await": await, "certificate": certificate, "mode": mode,
		},
	})
}

// await waits for a file that a program in the background makes.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: await FILE")
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Lstat(ts.MkAbs(args[0])); err == nil {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("waited in vain for %s", args[0])
		}
	}
}

// certificate makes NAME.pem and NAME.key, valid from now plus FROM to now plus TO.
func certificate(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: certificate NAME FROM TO")
	}
	from, err := time.ParseDuration(args[1])
	ts.Check(err)
	to, err := time.ParseDuration(args[2])
	ts.Check(err)
	cert, key, err := selfSigned(args[0], time.Now().Add(from), time.Now().Add(to))
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".pem"), cert, 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]+".key"), key, 0o600))
}

// mode compares the mode of a file or directory.
func mode(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mode MODE FILE")
	}
	info, err := os.Lstat(ts.MkAbs(args[1]))
	ts.Check(err)
	if got := info.Mode().String(); got != args[0] {
		ts.Fatalf("%s has mode %s", filepath.Base(args[1]), got)
	}
}

// encodePEM is one block of a PEM file.
func encodePEM(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
