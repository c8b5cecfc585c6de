package health

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// Every fault is data: it has a severity, a text and a remedy, belongs to one
// check, and has a row in the test that makes it.
func TestEveryFaultIsMade(t *testing.T) {
	seen := map[*fault]string{&faultCheckPanics: "all of them", &faultPending: "all of them"}
	for _, c := range checks {
		if c.look == nil || c.Looks == "" || len(c.faults) == 0 {
			t.Errorf("%s is not whole", c.ID)
		}
		if !regexp.MustCompile(`^[a-z][a-zA-Z0-9]+$`).MatchString(c.ID) {
			t.Errorf("%q is no id", c.ID)
		}
		for _, f := range c.faults {
			if other := seen[f]; other != "" {
				t.Errorf("%q is a fault of %s and of %s", f.text, other, c.ID)
			}
			seen[f] = c.ID
			if f.severity == "" || f.text == "" || f.remedy == "" {
				t.Errorf("%s: %+v is not whole", c.ID, *f)
			}
		}
	}
	isMade := map[*fault]bool{&faultCheckPanics: true, &faultPending: true} // by TestPanic and TestTime
	for _, row := range made {
		if seen[row.fault] != row.check {
			t.Errorf("%s: the fault is not in the list of %s", row.name, row.check)
		}
		isMade[row.fault] = true
	}
	for f, of := range seen {
		if !isMade[f] {
			t.Errorf("no test makes %q of %s", f.text, of)
		}
	}
	if n := declared(t); n != len(seen) {
		t.Errorf("faults.go has %d faults, the checks list %d", n, len(seen))
	}
	if len(checks) < 20 {
		t.Errorf("there are %d checks", len(checks))
	}
}

// declared counts the variables in faults.go.
func declared(t *testing.T) (n int) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "faults.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if v, ok := node.(*ast.ValueSpec); ok {
			n += len(v.Names)
		}
		return true
	})
	return n
}

func TestUnknownChecks(t *testing.T) {
	_, err := New(func() Facts { return Facts{} }).Run(t.Context(), []string{"dns", "Dns", "a\x1b[31m"})
	unknown, ok := errors.AsType[*UnknownError](err)
	if !ok || !slices.Equal(unknown.IDs, []string{"Dns", "a[31m"}) {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(fmt.Sprint(err), "service, configuration, ") {
		t.Errorf("the known ones are not listed: %v", err)
	}
}

// The order is that of the checks, each once, whatever is asked for.
func TestOrder(t *testing.T) {
	report, err := New(func() Facts { return Facts{Root: t.TempDir()} }).Run(t.Context(), []string{"memory", "dns", "memory"})
	if err != nil || len(report.Checks) != 2 || report.Checks[0].ID != "dns" || report.Checks[1].ID != "memory" {
		t.Errorf("got %+v, %v", report, err)
	}
}

// A check that does not come back is pending, is not started again, and holds up
// no other one; one that heeds its context is over in time.
func TestTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var started atomic.Int32
		hang := make(chan struct{})
		facts := Facts{
			Root: t.TempDir(),
			Hub: func() Hub {
				return Hub{Host: "hub.example", Port: "8883", lookup: func(ctx context.Context, _ string) ([]string, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}}
			},
			Lockable: func(string) error {
				started.Add(1)
				<-hang
				return nil
			},
			UID: os.Getuid(), StateDir: "/",
		}
		c := New(func() Facts { return facts })
		for range 3 {
			begin := time.Now()
			report, err := c.Run(context.Background(), nil)
			if took := time.Since(begin); err != nil || took != reportWithin {
				t.Fatalf("took %s, %v", took, err)
			}
			if !slices.Equal(report.Pending, []string{"stateDirectory"}) || len(report.Checks) != len(checks)-1 {
				t.Fatalf("pending: %v", report.Pending)
			}
			all := report.All()
			if len(all) != len(checks) || all[3].ID != "stateDirectory" || all[3].OK || !strings.Contains(all[3].Text, "did not come back within 3s") {
				t.Fatalf("with those that are pending: %+v", all)
			}
			i := slices.IndexFunc(report.Checks, func(r Result) bool { return r.ID == "dns" })
			if dns := report.Checks[i]; dns.OK || !strings.Contains(dns.Text, "no name server") {
				t.Fatalf("%+v", dns)
			}
		}
		if n := started.Load(); n != 1 {
			t.Errorf("a check that hangs was started %d times", n)
		}
		begin := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if report, _ := c.Run(ctx, []string{"stateDirectory"}); len(report.Pending) != 1 || time.Since(begin) != time.Second {
			t.Errorf("the caller's context was not heeded: %+v after %s", report, time.Since(begin))
		}
		close(hang)
		synctest.Wait()
		if report, _ := c.Run(context.Background(), []string{"stateDirectory"}); len(report.Checks) != 1 || started.Load() != 2 {
			t.Errorf("a check that came back is not started again: %+v", report)
		}
	})
}

// No more than atOnce run side by side.
func TestBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		c := New(func() Facts { return Facts{} })
		c.checks = nil
		running := make(chan struct{}, len(checks))
		for _, check := range checks {
			check.look = func(context.Context, *Facts) finding {
				running <- struct{}{}
				<-hang
				return fine("")
			}
			c.checks = append(c.checks, check)
		}
		report, _ := c.Run(context.Background(), nil)
		if len(running) != atOnce || len(report.Pending) != len(checks) {
			t.Errorf("%d run, %d are pending", len(running), len(report.Pending))
		}
		close(hang)
	})
}

func TestPanic(t *testing.T) {
	r := (&device{T: t, Facts: Facts{Boots: func(time.Duration) int { panic("no memory of it") }}}).look("bootLoop")
	if r.OK || r.Severity != Error || !strings.Contains(r.Text, "bootLoop failed itself: no memory of it") {
		t.Errorf("got %+v", r)
	}
}

// What comes from outside cannot paint a terminal or fill an answer.
func TestPlain(t *testing.T) {
	r := faultReboot.with("\x1b[2J" + strings.Repeat("x", 2000) + "\n\xff").result("rebootRight")
	if strings.ContainsAny(r.Text, "\x1b\n") || !utf8.ValidString(r.Text) || len([]rune(r.Text)) != maxText {
		t.Errorf("got %q", r.Text)
	}
}

// The table in docs/device.md is made of the checks and their faults.
// UPDATE_GOLDEN=1 go test ./agent/health writes it again.
func TestDocument(t *testing.T) {
	const name, begin, end = "../../docs/device.md", "<!-- checks: begin -->\n", "<!-- checks: end -->"
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(text), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no table of checks", name)
	}
	want := table()
	if got == want {
		return
	}
	if os.Getenv("UPDATE_GOLDEN") == "" {
		t.Fatalf("the table in %s is not what the checks are; UPDATE_GOLDEN=1 go test ./agent/health writes it", name)
	}
	if err := os.WriteFile(name, []byte(before+begin+want+end+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// table has a row for each fault of each check.
func table() string {
	var b strings.Builder
	b.WriteString("| id | what is looked at | severity | what may be wrong | remedy |\n|---|---|---|---|---|\n")
	verb := regexp.MustCompile(`%(\[\d\])?[0-9.]*[a-z]`)
	plainText := func(s string) string {
		return strings.ReplaceAll(verb.ReplaceAllString(s, "…"), "|", "\\|")
	}
	for _, c := range checks {
		id, looks := "`"+c.ID+"`", c.Looks
		for _, f := range c.faults {
			fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", id, looks, f.severity, plainText(f.text), plainText(f.remedy))
			id, looks = "", ""
		}
	}
	return b.String()
}

// Who tells dpkg to leave documentation out has no bad card.
func TestDocumentationMayBeLeftOut(t *testing.T) {
	d := newDevice(t)
	d.remove("usr/share/doc/latchd/copyright")
	if r := d.look("packageIntegrity"); !r.OK {
		t.Errorf("%+v", r)
	}
}
