package logging

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

func TestQueueKeepsOrder(t *testing.T) {
	var out bytes.Buffer
	q := NewQueue(&out)
	var want strings.Builder
	for i := range 500 {
		line := fmt.Sprintf("line %d\n", i)
		want.WriteString(line)
		if n, err := q.Write([]byte(line)); n != len(line) || err != nil {
			t.Fatal(n, err)
		}
	}
	q.Close(10 * time.Second)
	if out.String() != want.String() {
		t.Errorf("written: %q", out.String())
	}
	_, _ = q.Write([]byte("too late"))
	q.Close(0)
}

// A reader that does not read holds up nobody, and hears afterwards what it missed.
func TestQueueNeverWaits(t *testing.T) {
	r, w := io.Pipe()
	q := NewQueue(w)
	for i := range 3 * maxQueued {
		_, _ = fmt.Fprintf(q, "line %d\n", i)
	}
	began := time.Now()
	q.Close(10 * time.Millisecond)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Close took %s", took)
	}
	_ = r.Close()

	r, w = io.Pipe()
	q = NewQueue(w)
	for i := range 3 * maxQueued {
		_, _ = fmt.Fprintf(q, "line %d\n", i)
	}
	read := make(chan string)
	go func() {
		all, _ := io.ReadAll(r)
		read <- string(all)
	}()
	q.Close(time.Minute)
	_ = w.Close()
	if all := <-read; !strings.Contains(all, "lines of the log were lost") || strings.Count(all, "line ") < maxQueued {
		t.Errorf("heard %d bytes: %.100s", len(all), all)
	}
}
