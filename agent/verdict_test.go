package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"latchd/agent/ledger"
)

// left is what a run leaves behind: one operation in a phase, perhaps a mark.
func left(phase ledger.Phase, resumed bool, age time.Duration, mark string) ledger.Operations {
	o := ledger.Operations{Boot: ledger.Boot{ID: "boot-1"}}
	if phase != "" {
		o.Pending = []ledger.Operation{{
			ID: "op-1", Kind: kindReboot, CommandID: "c1", Phase: phase, BootID: "boot-1", Resumed: resumed,
			Uptime: time.Hour - age, StartUptime: time.Hour - age + 30*time.Minute, NotBefore: time.Unix(1e9, 0),
		}}
	}
	switch mark {
	case "":
	case "stale":
		o.Mark = &ledger.Mark{BootID: "boot-0", OperationID: "op-1"}
	default:
		o.Mark = &ledger.Mark{BootID: "boot-1", OperationID: strings.TrimPrefix(mark, "-")}
	}
	return o
}

// verdictOf says in a line what judge makes of it.
func verdictOf(o ledger.Operations) string {
	var words []string
	for _, op := range o.Pending {
		word := string(op.Phase)
		if op.Resumed {
			word += " resumed"
		}
		words = append(words, word)
	}
	for _, r := range o.Receipts {
		word := r.State
		if r.Cause != "" {
			word += fmt.Sprintf(" %s %t", r.Cause, *r.Orderly)
		}
		if r.OperationID != "" {
			word += " " + r.OperationID
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func TestJudge(t *testing.T) {
	const (
		young = time.Minute
		old   = guardTime + time.Second
	)
	started := []ledger.Phase{ledger.PhaseAccepted, ledger.PhaseAnswered, ledger.PhaseAsked, ledger.PhaseGoingDown}
	rows := []struct {
		name    string
		phases  []ledger.Phase
		resumed bool
		age     time.Duration
		mark    string // the operation it names; "-": none; "stale": of an earlier boot; "": no mark
		boot    string
		cause   string // as the machine found it
		want    string // PHASE stands for the phase
	}{
		// The same boot: the agent was restarted.
		{"nothing", []ledger.Phase{""}, false, 0, "", "boot-1", "", ""},
		{"a shutdown broken off", []ledger.Phase{""}, false, 0, "-", "boot-1", "", ""},
		{"scheduled", []ledger.Phase{ledger.PhaseScheduled}, false, old, "", "boot-1", "", "scheduled"},
		{"not asked, young", started[:2], false, young, "", "boot-1", "", "PHASE resumed"},
		{"not asked, at the guard time", started[:2], false, guardTime, "", "boot-1", "", "PHASE resumed"},
		{"not asked, old", started[:2], false, old, "", "boot-1", "", "failed op-1"},
		{"not asked, a second time", started[:2], true, young, "", "boot-1", "", "failed op-1"},
		{"asked", started[2:], false, young, "", "boot-1", "", "PHASE"},
		{"asked long ago", started[2:], true, old, "op-1", "boot-1", "", "PHASE resumed"},
		// Another boot: the machine rebooted.
		{"nothing, no mark", []ledger.Phase{""}, false, 0, "", "boot-2", "", "completed unknown false"},
		{"nothing, power lost", []ledger.Phase{""}, false, 0, "", "boot-2", "powerLoss", "completed powerLoss false"},
		{"nothing, in order", []ledger.Phase{""}, false, 0, "-", "boot-2", "unknown", "completed external true"},
		{"nothing, a mark of long ago", []ledger.Phase{""}, false, 0, "stale", "boot-2", "watchdog", "completed watchdog false"},
		{"scheduled, no mark", []ledger.Phase{ledger.PhaseScheduled}, false, young, "", "boot-2", "panic", "scheduled, completed panic false"},
		{"scheduled, in order", []ledger.Phase{ledger.PhaseScheduled}, false, young, "-", "boot-2", "", "scheduled, completed external true"},
		{"started, no mark", started, false, young, "", "boot-2", "powerLoss", "completed powerLoss false op-1"},
		{"started, resumed, no mark", started, true, old, "", "boot-2", "", "completed unknown false op-1"},
		{"started, a mark of long ago", started, false, young, "stale", "boot-2", "", "completed unknown false op-1"},
		{"started, somebody else's order", started, false, young, "-", "boot-2", "", "completed external true op-1"},
		{"started, its own order", started, false, young, "op-1", "boot-2", "unknown", "completed rebootDevice true op-1"},
	}
	for _, row := range rows {
		for _, phase := range row.phases {
			t.Run(row.name+" "+string(phase), func(t *testing.T) {
				before := left(phase, row.resumed, row.age, row.mark)
				uptime := time.Hour
				if row.boot != "boot-1" {
					uptime = time.Minute
				}
				after, notes := judge(before, Boot{ID: row.boot, Cause: row.cause}, uptime)
				want := strings.ReplaceAll(row.want, "PHASE", string(phase))
				if got := verdictOf(after); got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if after.Mark != nil || after.Boot.ID != row.boot {
					t.Errorf("mark %v, boot %s", after.Mark, after.Boot.ID)
				}
				if row.boot != "boot-1" && len(notes) == 0 {
					t.Error("a reboot is not in the log")
				}
				// It is settled: the next start in the same boot says nothing new.
				again, _ := judge(after, Boot{ID: row.boot, Cause: row.cause}, uptime)
				if len(again.Receipts) != len(after.Receipts) && !strings.Contains(row.want, "resumed") {
					t.Errorf("judged twice: %q", verdictOf(again))
				}
			})
		}
	}
}

func TestJudgeDoesNotWriteToWhatItJudges(t *testing.T) {
	before := left(ledger.PhaseAccepted, false, 0, "-")
	judge(before, Boot{ID: "boot-1"}, time.Hour)
	judge(before, Boot{ID: "boot-2"}, time.Minute)
	if before.Pending[0].Resumed || before.Mark == nil || len(before.Receipts) > 0 {
		t.Errorf("it is %+v now", before)
	}
}

func TestTheFirstStartIsNoReboot(t *testing.T) {
	after, _ := judge(ledger.Operations{}, Boot{ID: "boot-1", Cause: "powerLoss"}, time.Minute)
	if got := verdictOf(after); got != "" || after.Boot.ID != "boot-1" {
		t.Errorf("got %q in boot %q", got, after.Boot.ID)
	}
}

func TestALateBootCorrectsOnlyTheVerdictOfStillUp(t *testing.T) {
	for _, row := range []struct {
		name    string
		stillUp bool
		bootID  string // in which it failed
		want    string
	}{
		{"still up in this boot", true, "boot-1", "completed rebootDevice true op-1"},
		{"refused in this boot", false, "boot-1", "failed op-1, completed external true"},
		{"still up in an earlier boot", true, "boot-0", "failed op-1, completed external true"},
	} {
		o := left("", false, 0, "")
		o.Receipts = []ledger.StoredReceipt{{
			Receipt: ledger.Receipt{OperationID: "op-1", State: stateFailed, PreviousBootID: row.bootID}, StillUp: row.stillUp,
		}}
		o.Mark = &ledger.Mark{BootID: "boot-1", OperationID: lateReboot(o.Receipts, "boot-1")}
		after, _ := judge(o, Boot{ID: "boot-2"}, time.Minute)
		if got := verdictOf(after); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

func TestSettleComputesATimeOnce(t *testing.T) {
	now := time.Date(2026, 11, 22, 2, 31, 7, 120e6, time.UTC)
	o := ledger.Operations{Boot: ledger.Boot{ID: "boot-2"}, Receipts: []ledger.StoredReceipt{
		{Receipt: ledger.Receipt{OperationID: "op-1", BootID: "boot-2"}, Delivered: true, DownAt: ledger.Time{Time: now.Add(-91400 * time.Millisecond)}},
		{Receipt: ledger.Receipt{OperationID: "op-0", BootID: "boot-1"}, Delivered: true},
	}}
	if !settle(&o, now, time.Minute) {
		t.Fatal("nothing was settled")
	}
	first := o.Receipts[0]
	if !o.Boot.RebootTime.Equal(now.Add(-time.Minute)) || *first.DownSeconds != 31.4 || first.Delivered {
		t.Errorf("rebootTime %s, down %v, delivered %t", o.Boot.RebootTime, *first.DownSeconds, first.Delivered)
	}
	if o.Receipts[1].BootedAt != nil || !o.Receipts[1].Delivered {
		t.Error("the receipt of another boot was touched")
	}
	for _, years := range []int{10, -10} {
		if settle(&o, now.AddDate(years, 0, 0), 2*time.Minute) {
			t.Errorf("a step of %d years moved a time", years)
		}
	}
}

func TestDownSecondsOnlyWhereBothClocksAgree(t *testing.T) {
	now := time.Date(2026, 11, 22, 2, 30, 0, 0, time.UTC)
	for name, down := range map[string]time.Time{"not known": {}, "after the boot": now.Add(time.Hour)} {
		o := ledger.Operations{Boot: ledger.Boot{ID: "b"}, Receipts: []ledger.StoredReceipt{
			{Receipt: ledger.Receipt{BootID: "b"}, DownAt: ledger.Time{Time: down}},
		}}
		settle(&o, now, time.Minute)
		if o.Receipts[0].DownSeconds != nil {
			t.Errorf("%s: %v", name, *o.Receipts[0].DownSeconds)
		}
	}
}

func TestReceiptsAreBoundedAndTheUndeliveredStay(t *testing.T) {
	var o ledger.Operations
	add := func(id string, delivered bool) {
		addReceipt(&o, ledger.StoredReceipt{Receipt: ledger.Receipt{OperationID: id}, Delivered: delivered})
	}
	add("op-first", false)
	for range 40 {
		add("", false) // boots nobody asked for
		add("op-told", true)
	}
	add("op-last", false)
	if len(o.Receipts) != keptReceipts || o.Receipts[0].OperationID != "op-first" || o.Receipts[keptReceipts-1].OperationID != "op-last" {
		t.Errorf("%d are kept, from %s to %s", len(o.Receipts), o.Receipts[0].OperationID, o.Receipts[len(o.Receipts)-1].OperationID)
	}
	for range 40 {
		add("op-waits", false)
	}
	if len(o.Receipts) != keptReceipts {
		t.Errorf("%d are kept", len(o.Receipts))
	}
}
