package main

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"latchd/iothub/rest"
)

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"plain, Grüße, 日本":     "plain, Grüße, 日本",
		"\x1b]0;title\a":       `\x1b]0;title\a`,
		"two\nlines\tand tabs": `two\nlines\tand tabs`,
		"c1 \u009b control":    `c1 \u009b control`,
		"right\u202eleft":      `right\u202eleft`,
		"not UTF-8 \xff":       `not UTF-8 \ufffd`,
	} {
		if got := clean(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// Of JSON only what looks different is written differently.
func TestCleanJSON(t *testing.T) {
	for text, want := range map[string]string{
		"{\n  \"a\": \"Grüße, 日本 𝕏 \\u001b\"\r\n}":    "{\n  \"a\": \"Grüße, 日本 𝕏 \\u001b\"\r\n}",
		"[\"\u009b31m\u202e\u2028\x7f\"]":             `["\u009b31m\u202e\u2028\u007f"]`,
		"{\"key \u0085\":\"not UTF-8 \xff, \ufffd\"}": `{"key \u0085":"not UTF-8 \ufffd, \ufffd"}`,
	} {
		if got := string(cleanJSON([]byte(text))); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// What a device says reaches a terminal without control characters in every
// form of output.
func TestAnswersAreClean(t *testing.T) {
	c := methodCall{device: "d1", method: "m"}
	for _, payload := range []string{`"` + "A\u009b31mB\u202eC\x7f" + `"`, `{"` + "\u009b" + `":"` + "\u2066" + `"}`} {
		for _, output := range []string{outputTable, outputJSON} {
			var out bytes.Buffer
			p := &program{stdout: &checkedWriter{to: &out}, output: output}
			if err := p.printAnswer(c, rest.MethodResult{Status: 200, Payload: []byte(payload)}); err != nil {
				t.Fatal(err)
			}
			lines := strings.ReplaceAll(out.String(), "\n", "")
			if clean(lines) != lines {
				t.Errorf("%s of %q: %q", output, payload, out.String())
			}
		}
	}
}

func TestRedact(t *testing.T) {
	for _, text := range []string{
		`unknown command "HostName=h;SharedAccessKeyName=p;SharedAccessKey=U0VDUkVU=" for x`,
		`SharedAccessSignature sr=U0VDUkVU&sig=U0VDUkVU&se=1`,
		`sharedaccesskey=U0VDUkVU`,
	} {
		if got := redact(text); strings.Contains(got, "U0VDUkVU") || !strings.Contains(got, "(hidden)") {
			t.Error(got)
		}
	}
	if text := "job a: SharedAccessKeyName=service"; redact(text) != text {
		t.Error(redact(text))
	}
}

// On a terminal a line is written over, and a shorter one leaves nothing of
// the longer one behind.
func TestProgressOnTerminal(t *testing.T) {
	var out bytes.Buffer
	p := progress{to: &out, terminal: true}
	p.show("d1: rebooting", ", 1 s")
	p.show("d1: rebooting", ", 2 s")
	p.show("d1: ok", "")
	p.end()
	want := "\rd1: rebooting, 1 s\rd1: rebooting, 2 s\rd1: ok            \n"
	if got := out.String(); got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestProgressInLog(t *testing.T) {
	var out bytes.Buffer
	p := progress{to: &out}
	for range 3 {
		p.show("d1: rebooting", ", some s")
	}
	p.show("d1: \x1b[2J", "")
	p.end()
	if got, want := out.String(), "d1: rebooting\nd1: \\x1b[2J\n"; got != want {
		t.Errorf("\n got %q\nwant %q", got, want)
	}
}

func TestBar(t *testing.T) {
	for _, test := range []struct {
		done, total int
		want        string
	}{
		{0, 0, "[........................]"},
		{1, 2, "[############............]"},
		{2, 2, "[########################]"},
		{9, 2, "[########################]"},
		{-1, 2, "[........................]"},
	} {
		if got := bar(test.done, test.total); got != test.want {
			t.Errorf("%d of %d: %s", test.done, test.total, got)
		}
	}
	job := rest.Job{JobID: "j", Status: "running", DeviceJobStatistics: &rest.JobStatistics{DeviceCount: 4, SucceededCount: 1, FailedCount: 1}}
	if got, want := jobProgress(job, true), "job j [############............] running: 2 of 4 devices done, 1 failed"; got != want {
		t.Error(got)
	}
}

// A result that cannot be written is an error, not half a file.
func TestFullDisk(t *testing.T) {
	var stderr bytes.Buffer
	code := Run(t.Context(), []string{"help", "exit-codes"}, nil, fullDisk{}, &stderr, func(string) string { return "" })
	if code != exitUnexpected || stderr.String() != "latchctl: write the result: no space left on device\n" {
		t.Errorf("%d: %s", code, stderr.String())
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// A ready-made list of arguments that is nil means no arguments, not those of
// the process.
func TestRunWithoutArguments(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := Run(context.Background(), nil, nil, &stdout, &stderr, func(string) string { return "" })
	if code != exitOK || !strings.Contains(stdout.String(), "Available Commands:") {
		t.Errorf("%d: %s%s", code, stdout.String(), stderr.String())
	}
}

func TestEveryCommandExplainsItself(t *testing.T) {
	p := &program{}
	for _, group := range append(p.root().Commands(), p.root()) {
		for _, cmd := range append(group.Commands(), group) {
			if cmd.Short == "" || cmd.Short != strings.TrimSuffix(cmd.Short, ".") {
				t.Errorf("%s: %q", cmd.CommandPath(), cmd.Short)
			}
		}
	}
}

// How long a job is waited for when nobody says: until it must have ended.
func TestJobWaitLimit(t *testing.T) {
	now := time.Date(2026, 11, 22, 2, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name  string
		flags waitFlags
		job   rest.JobRequest
		want  time.Duration
	}{
		{"as told", waitFlags{timeout: time.Second}, rest.JobRequest{MaxExecutionTimeInSeconds: 60}, time.Second},
		{"now", waitFlags{}, rest.JobRequest{MaxExecutionTimeInSeconds: 60}, 3 * time.Minute},
		{"later", waitFlags{}, rest.JobRequest{MaxExecutionTimeInSeconds: 60, StartTime: &rest.Time{Time: now.Add(time.Hour)}}, time.Hour + 3*time.Minute},
		{"in the past", waitFlags{}, rest.JobRequest{MaxExecutionTimeInSeconds: 60, StartTime: &rest.Time{Time: now.Add(-time.Hour)}}, 3 * time.Minute},
		{"unknown", waitFlags{}, rest.JobRequest{}, 24 * time.Hour},
		{"absurd", waitFlags{}, rest.JobRequest{MaxExecutionTimeInSeconds: 1<<63 - 1}, 24 * time.Hour},
	} {
		if got := test.flags.limit(test.job, now); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
}
