package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a pseudo-terminal: a person's end, and the program's.
type terminal struct {
	*testing.T
	person, program *os.File
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skip("there are no pseudo-terminals here: ", err)
	}
	t.Cleanup(func() { _ = person.Close() })
	fd := int(person.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return &terminal{t, person, program}
}

func (t *terminal) settings() unix.Termios {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(t.program.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *s
}

// screen is what the terminal shows, up to and with the given text.
func (t *terminal) screen(until string) string {
	t.Helper()
	var seen bytes.Buffer
	buf := make([]byte, 256)
	for !strings.Contains(seen.String(), until) {
		n, err := t.person.Read(buf)
		if err != nil {
			t.Fatalf("the terminal showed %q and then: %v", seen.String(), err)
		}
		seen.Write(buf[:n])
	}
	return seen.String()
}

func TestSecretDoesNotShow(t *testing.T) {
	tty := newTerminal(t)
	before := tty.settings()
	if _, err := tty.person.WriteString("typed too early\n"); err != nil {
		t.Fatal(err)
	}
	tty.screen("early")
	type outcome struct {
		line string
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		line, err := askSecret(t.Context(), tty.program, tty.program, "Secret: ")
		done <- outcome{line, err}
	}()
	shown := tty.screen("Secret: ")
	if s := tty.settings(); s.Lflag&unix.ECHO != 0 || s.Lflag&unix.ISIG == 0 {
		t.Error("the terminal echoes, or knows no Ctrl-C")
	}
	if _, err := tty.person.WriteString("the secret\nrest of a paste\n"); err != nil {
		t.Fatal(err)
	}
	if o := <-done; o.err != nil || o.line != "the secret" {
		t.Errorf("got %q, %v", o.line, o.err)
	}
	if tty.settings() != before {
		t.Error("the terminal is not as it was")
	}
	if _, err := tty.program.WriteString("the end"); err != nil {
		t.Fatal(err)
	}
	if shown += tty.screen("the end"); strings.Contains(shown, "secret\n") || strings.Contains(shown, "the secret") || strings.Contains(shown, "paste") {
		t.Errorf("the terminal showed %q", shown)
	}
	if n, err := unix.IoctlGetInt(int(tty.program.Fd()), unix.TIOCINQ); err != nil || n != 0 {
		t.Errorf("%d bytes are left for the shell (%v)", n, err)
	}
}

func TestInterruptedAtTheQuestion(t *testing.T) {
	tty := newTerminal(t)
	before := tty.settings()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := askSecret(ctx, tty.program, tty.program, "Secret: ")
		done <- err
	}()
	tty.screen("Secret: ")
	cancel()
	if err := <-done; err == nil {
		t.Error("no error")
	}
	if tty.settings() != before {
		t.Error("the terminal is left without echo")
	}
	// Lets the read go that is still waiting.
	if _, err := tty.person.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
}

func TestEndOfInputAtTheQuestion(t *testing.T) {
	for typed, want := range map[string]string{"\x04": "nothing was entered", strings.Repeat("x", 4094) + "\n": ""} {
		tty := newTerminal(t)
		done := make(chan error, 1)
		go func() {
			_, err := askSecret(t.Context(), tty.program, tty.program, "Secret: ")
			done <- err
		}()
		tty.screen("Secret: ")
		if _, err := tty.person.WriteString(typed); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			if fmt.Sprint(err) != want && (err != nil || want != "") {
				t.Errorf("%v, want %q", err, want)
			}
		case <-time.After(10 * time.Second):
			t.Fatal("it still waits")
		}
	}
}
