package firmware

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestCauses(t *testing.T) {
	const bootstatus, rsts = "sys/class/watchdog/watchdog0/bootstatus", "proc/device-tree/chosen/bootloader/rsts"
	panicked := "Panic#1 Part1\n<0>[   12.3] Kernel panic - not syncing: sysrq triggered crash\n"
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"panic", map[string]string{"sys/fs/pstore/dmesg-ramoops-0": panicked}, CausePanic},
		{"panic, then the watchdog", map[string]string{"sys/fs/pstore/dmesg-ramoops-0": panicked, bootstatus: "32\n"}, CausePanic},
		{"an oops is survived", map[string]string{"sys/fs/pstore/dmesg-ramoops-0": "Oops#1 Part1\n"}, CauseUnknown},
		{"a console log is no panic", map[string]string{"sys/fs/pstore/console-ramoops-0": panicked}, CauseUnknown},
		{"watchdog", map[string]string{bootstatus: "32\n"}, CauseWatchdog},
		{"watchdog among other bits", map[string]string{bootstatus: "0x21\n"}, CauseWatchdog},
		{"second watchdog", map[string]string{bootstatus: "0\n", "sys/class/watchdog/watchdog1/bootstatus": "32\n"}, CauseWatchdog},
		{"other bits", map[string]string{bootstatus: "1\n"}, CauseUnknown},
		{"damaged status", map[string]string{bootstatus: "reset\n"}, CauseUnknown},
		{"power-on", map[string]string{rsts: "\x00\x00\x10\x00"}, CausePowerLoss},
		{"ordinary reboot of a Raspberry Pi", map[string]string{rsts: "\x00\x00\x00\x20"}, CauseUnknown},
		{"reboot into another partition", map[string]string{rsts: "\x00\x00\x04\x20"}, CauseUnknown},
		{"both bits prove nothing", map[string]string{rsts: "\x00\x00\x10\x20"}, CauseUnknown},
		{"cell of a wrong size", map[string]string{rsts: "\x00\x00\x00\x00\x00\x00\x10\x00"}, CauseUnknown},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cause, evidence := grow(t, test.files).cause(nil)
			if cause != test.want || evidence == "" && cause != CauseUnknown {
				t.Errorf("got %q by %q, want %q", cause, evidence, test.want)
			}
		})
	}
}

func TestAWeakSupplyIsTold(t *testing.T) {
	const throttled = "sys/devices/platform/soc/soc:firmware/get_throttled"
	for flags, told := range map[string]bool{"50005\n": true, "10000\n": true, "0\n": false, "20002\n": false, "x\n": false} {
		cause, evidence := grow(t, map[string]string{throttled: flags}).cause(nil)
		if cause != CauseUnknown || (evidence != "") != told {
			t.Errorf("%q: %q by %q", flags, cause, evidence)
		}
	}
}

const (
	firstBoot  = "11111111-1111-4111-8111-111111111111"
	secondBoot = "22222222-2222-4222-8222-222222222222"
	thirdBoot  = "33333333-3333-4333-8333-333333333333"
)

// A panic record stays in pstore until somebody removes it. It explains the
// first boot after the panic and no other.
func TestAPanicExplainsOneBoot(t *testing.T) {
	root := grow(t, nil)
	path := filepath.Join(t.TempDir(), bootFile)
	pstore := root.path("sys/fs/pstore")
	if err := os.MkdirAll(pstore, 0o755); err != nil {
		t.Fatal(err)
	}
	panicNow := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(pstore, "dmesg-ramoops-0"), []byte("Panic#1 Part1\n"+text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(boot, want string) {
		t.Helper()
		if cause, _ := root.causeOnce(boot, path); cause != want {
			t.Errorf("boot %.1s: got %q, want %q", boot, cause, want)
		}
	}

	panicNow("of before the program was installed")
	expect(firstBoot, CauseUnknown)
	panicNow("of the first boot")
	expect(firstBoot, CauseUnknown) // the program was restarted, not the machine
	expect(secondBoot, CausePanic)
	if err := os.Remove(filepath.Join(pstore, "dmesg-ramoops-0")); err != nil {
		t.Fatal(err)
	}
	expect(secondBoot, CausePanic) // the verdict stays when somebody tidies up
	panicNow("of the second boot, under the same name")
	expect(thirdBoot, CausePanic)
}

func TestTheSameRecordAtTheNextBoot(t *testing.T) {
	root := grow(t, map[string]string{"sys/fs/pstore/dmesg-efi-1": "Panic#2 Part1\n"})
	path := filepath.Join(t.TempDir(), bootFile)
	if err := writeRecord(path, bootRecord{Format: recordFormat, BootID: firstBoot, Cause: CauseUnknown}); err != nil {
		t.Fatal(err)
	}
	if cause, evidence := root.causeOnce(secondBoot, path); cause != CausePanic || !strings.Contains(evidence, "dmesg-efi-1") {
		t.Errorf("got %q by %q, want %q", cause, evidence, CausePanic)
	}
	if cause, _ := root.causeOnce(thirdBoot, path); cause != CauseUnknown {
		t.Errorf("the record explained a second boot as %q", cause)
	}
}

// Without a place to remember, a panic record could explain every boot to come.
func TestNoMemoryNoPanic(t *testing.T) {
	root := grow(t, map[string]string{"sys/fs/pstore/dmesg-efi-1": "Panic#2 Part1\n"})
	for range 2 {
		if cause, _ := root.causeOnce(firstBoot, filepath.Join(t.TempDir(), "missing", bootFile)); cause != CauseUnknown {
			t.Errorf("got %q", cause)
		}
	}
}

func TestUnusableBootFileIsSetAside(t *testing.T) {
	tests := map[string]string{
		`{"format":2,"bootId":7}`:      bootFile + ".aside-newer-format",
		`{"format":1,"bootId":7}`:      bootFile + ".aside-damaged",
		`{"format":0}`:                 bootFile + ".aside-damaged",
		``:                             bootFile + ".aside-damaged",
		"\x00\x00\x00\x00\x00\x00\x00": bootFile + ".aside-damaged",
	}
	for content, aside := range tests {
		dir := t.TempDir()
		path := filepath.Join(dir, bootFile)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		root := grow(t, map[string]string{"sys/class/watchdog/watchdog0/bootstatus": "32\n"})
		for range 2 {
			if cause, _ := root.causeOnce(firstBoot, path); cause != CauseWatchdog {
				t.Errorf("%q: cause %q", content, cause)
			}
		}
		kept, err := os.ReadFile(filepath.Join(dir, aside))
		if err != nil || !slices.Equal(kept, []byte(content)) {
			t.Errorf("%q: kept %q, %v", content, kept, err)
		}
	}
}
