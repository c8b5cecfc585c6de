package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// maxControlAnswer is the longest answer that is read, in bytes; a status with
// every bound of the contract reached has a tenth of that.
const maxControlAnswer = 1 << 20

// askWithin bounds a question at the control socket: longer than the service may
// take for the slowest.
const askWithin = 15 * time.Second

// askControl asks the running service. The error says what to do when there is
// none.
func askControl(ctx context.Context, path string, req controlRequest) (controlAnswer, error) {
	var answer controlAnswer
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	if err := checkSocketPath(path); err != nil {
		return answer, err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return answer, explainDial(path, err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })()
	line, err := json.Marshal(req)
	if err != nil {
		return answer, err
	}
	// A refusal may come, and the connection be closed, before this is written:
	// what can be read counts.
	_, writeErr := conn.Write(append(line, '\n'))
	if err = json.NewDecoder(io.LimitReader(conn, maxControlAnswer)).Decode(&answer); err == nil {
		return answer, nil
	}
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		return answer, fmt.Errorf("the service did not answer within %s; see what it does: journalctl -u latchd", askWithin)
	case ctx.Err() != nil:
		return answer, errors.New("interrupted before the service answered; a door command may have been carried out")
	case writeErr != nil:
		return answer, fmt.Errorf("ask the service at %s: %w", path, writeErr)
	}
	return answer, fmt.Errorf("the service ended before it answered (%w); a door command may have been carried out: ask for the status", err)
}
