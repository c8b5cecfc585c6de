package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// askSecret asks for a line at the terminal without showing what is typed. The
// terminal is as it was before when it returns, also when ctx ends first.
func askSecret(ctx context.Context, terminal *os.File, out io.Writer, prompt string) (string, error) {
	fd := int(terminal.Fd())
	before, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", errNoTerminal
	}
	quiet := *before
	quiet.Lflag = quiet.Lflag&^unix.ECHO | unix.ICANON | unix.ISIG
	quiet.Iflag |= unix.ICRNL
	// Ctrl-C ends ctx, and so gets here. These two would leave the terminal
	// without echo: one suspends the program, the other ends it at once.
	const disabled = 0 // _POSIX_VDISABLE
	quiet.Cc[unix.VSUSP], quiet.Cc[unix.VQUIT] = disabled, disabled
	// TCSETSF throws away what was typed before the question, and at the end what
	// was pasted after the line: half a key is nothing for the shell.
	if err := unix.IoctlSetTermios(fd, unix.TCSETSF, &quiet); err != nil {
		return "", fmt.Errorf("switch the terminal's echo off: %w", err)
	}
	defer func() {
		_ = unix.IoctlSetTermios(fd, unix.TCSETSF, before)
		fmt.Fprintln(out)
	}()
	fmt.Fprint(out, prompt)
	type outcome struct {
		line string
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		line, err := readLine(terminal)
		done <- outcome{line, err}
	}()
	select {
	case o := <-done:
		return o.line, o.err
	case <-ctx.Done():
		return "", errors.New("nothing was entered")
	}
}

// readLine reads up to the end of the line and no further.
func readLine(r io.Reader) (string, error) {
	const longest = 4095 // of a line that is edited at a terminal (termios(3))
	line := make([]byte, 0, longest)
	for {
		n, err := r.Read(line[len(line):cap(line)])
		line = line[:len(line)+n]
		switch {
		case n > 0 && line[len(line)-1] == '\n':
			return string(line[:len(line)-1]), nil
		case err != nil || n == 0:
			return "", errors.New("nothing was entered")
		case len(line) == cap(line):
			return "", fmt.Errorf("what was entered has more than %d bytes", longest)
		}
	}
}
