package pi

import (
	"bufio"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"
)

// qtest is QEMU's socket for tests of devices: it reads and writes physical
// memory, registers of devices included, beside the running guest and without
// its help.
type qtest struct {
	mu   sync.Mutex
	conn net.Conn
	from *bufio.Reader
}

func dialQtest(path string) (*qtest, error) {
	conn, err := net.Dial("unix", path)
	if err != nil {
		return nil, err
	}
	return &qtest{conn: conn, from: bufio.NewReader(conn)}, nil
}

// say sends one command and returns what follows OK.
func (q *qtest) say(format string, args ...any) (string, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	command := fmt.Sprintf(format, args...)
	// QEMU answers in a millisecond, or after the step that it is in.
	if err := q.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintln(q.conn, command); err != nil {
		return "", err
	}
	answer, err := q.from.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("qtest %s: %w", command, err)
	}
	rest, ok := strings.CutPrefix(strings.TrimSpace(answer), "OK")
	if !ok {
		return "", fmt.Errorf("qtest %s: %s", command, answer)
	}
	return strings.TrimSpace(rest), nil
}

func (q *qtest) read(address uint64) (uint32, error) {
	answer, err := q.say("readl %#x", address)
	if err != nil {
		return 0, err
	}
	value, err := strconv.ParseUint(answer, 0, 64)
	return uint32(value), err
}

func (q *qtest) write(address uint64, value uint32) error {
	_, err := q.say("writel %#x %#x", address, value)
	return err
}
