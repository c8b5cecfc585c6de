package interop

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
)

// recording is one file of testdata/replay; its README says how it is written.
type recording struct {
	headers, bodyHeaders []string // "Name: value"
	sas                  []string // fields of the service token in their order
	tls                  string   // the newest version that the device speaks
	answers              byte     // the QoS of the device's answers to methods
	rows                 []row
}

// row is one request and what the client wants of the answer.
type row struct {
	name    string
	verb    string
	target  string   // what follows the verb
	headers []string // its own
	body    string
	want    []string // the first is the status
}

// readRecording reads a file. What it does not understand is an error: a row
// that says nothing would prove nothing.
func readRecording(path string) (recording, error) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		return recording{}, err
	}
	rec := recording{}
	for line := range strings.Lines(string(archive.Comment)) {
		if err := rec.setting(strings.TrimSuffix(line, "\n")); err != nil {
			return rec, fmt.Errorf("%s: %w", path, err)
		}
	}
	names := map[string]bool{}
	for _, file := range archive.Files {
		r, err := readRow(file.Name, string(file.Data))
		if err == nil && names[r.name] {
			err = fmt.Errorf("there are two rows of this name")
		}
		if err != nil {
			return rec, fmt.Errorf("%s: row %q: %w", path, file.Name, err)
		}
		names[r.name] = true
		rec.rows = append(rec.rows, r)
	}
	if len(rec.sas) != 4 || rec.tls == "" {
		return rec, fmt.Errorf("%s: it does not say how the client signs and which TLS it speaks", path)
	}
	return rec, nil
}

func (rec *recording) setting(line string) error {
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "header":
		rec.headers = append(rec.headers, rest)
	case "body-header":
		rec.bodyHeaders = append(rec.bodyHeaders, rest)
	case "sas":
		rec.sas = strings.Fields(rest)
	case "tls":
		rec.tls = rest
	case "answers":
		qos, err := strconv.Atoi(rest)
		rec.answers = byte(qos)
		return err
	}
	return nil // prose
}

func readRow(name, text string) (row, error) {
	r := row{name: name}
	request, answer, answered := strings.Cut(text, "\n=> ")
	head, body, _ := strings.Cut(request, "\n\n")
	lines := strings.Split(strings.TrimSpace(head), "\n")
	r.verb, r.target, _ = strings.Cut(lines[0], " ")
	r.headers, r.body = lines[1:], strings.TrimSpace(body)
	if r.body == "{one space}" {
		r.body = " "
	}
	if answered {
		r.want = strings.Split(strings.TrimSpace(answer), "\n")
	}
	return r, r.check()
}

// check sees to it that a row says what it expects.
func (r row) check() error {
	switch r.verb {
	case "HEARS":
		if r.want != nil || r.body == "" {
			return fmt.Errorf("it has a body and no answer")
		}
	case "CONNECT", "SUBSCRIBE":
		if len(r.want) != 1 {
			return fmt.Errorf("one line must say how it is answered")
		}
	case "PUBLISH":
		if len(r.want) == 0 || len(r.want) == 1 && r.want[0] != "PUBACK" {
			return fmt.Errorf("it does not say what the client depends on")
		}
	case "GET", "PUT", "POST", "PATCH", "DELETE":
		if len(r.want) < 2 {
			return fmt.Errorf("it does not say what the client depends on")
		}
	default:
		return fmt.Errorf("what is %q?", r.verb)
	}
	return nil
}

// values are what rows kept for later ones.
type values struct {
	kept map[string]string
	used map[string]bool
}

var (
	placeholder = regexp.MustCompile(`\{[A-Za-z]+\}`)
	timeOf      = regexp.MustCompile(`\{([+-]\d+[hms]) (\.\d+Z)\}`)
)

// fill puts the values and the times into a text.
func (v *values) fill(text string) (string, error) {
	var err error
	text = placeholder.ReplaceAllStringFunc(text, func(p string) string {
		name := p[1 : len(p)-1]
		value, ok := v.kept[name]
		if !ok {
			err = fmt.Errorf("no row before this one has kept %q", name)
		}
		v.used[name] = true
		return value
	})
	text = timeOf.ReplaceAllStringFunc(text, func(p string) string {
		part := timeOf.FindStringSubmatch(p)
		offset, bad := time.ParseDuration(part[1])
		if bad != nil {
			err = bad
		}
		return time.Now().Add(offset).UTC().Format("2006-01-02T15:04:05") + part[2]
	})
	return text, err
}

// recordings are the files there are.
func recordings() ([]string, error) {
	entries, err := os.ReadDir("testdata/replay")
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if name, ok := strings.CutSuffix(e.Name(), ".txtar"); ok {
			names = append(names, name)
		}
	}
	return names, nil
}
