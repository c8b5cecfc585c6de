package firmware

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"unicode"
	"unicode/utf8"
)

// FuzzMachineFiles: whatever one of a machine's files holds, what is told of
// the machine is short, printable text.
func FuzzMachineFiles(f *testing.F) {
	root := f.TempDir()
	if err := os.CopyFS(root, os.DirFS("testdata/raspberry-pi-4/tree")); err != nil {
		f.Fatal(err)
	}
	contents := map[string][]byte{}
	var names []string
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		names = append(names, path)
		contents[path], err = os.ReadFile(path)
		return err
	})
	if err != nil {
		f.Fatal(err)
	}
	for i, name := range names {
		f.Add(uint8(i), contents[name])
	}
	f.Add(uint8(0), []byte("\xff\x00\n: \u202e\t"))
	f.Fuzz(func(t *testing.T, which uint8, content []byte) {
		name := names[int(which)%len(names)]
		defer put(t, name, contents[name])
		put(t, name, content)
		machine, k := tree(root), noKernel()
		bootID, _ := machine.bootID()
		cause, evidence := machine.cause(nil)
		for what, text := range map[string]string{
			"boot id": bootID, "cause": cause, "evidence": evidence, "container": machine.container(k),
		} {
			checkText(t, what, text)
		}
		information := reflect.ValueOf(machine.information(k))
		for i := range information.NumField() {
			if text, ok := information.Field(i).Interface().(string); ok {
				checkText(t, information.Type().Field(i).Name, text)
			}
		}
	})
}

// FuzzBootRecord: the file that remembers a boot is read, or it is told why not.
func FuzzBootRecord(f *testing.F) {
	f.Add([]byte(`{"format":1,"bootId":"b","cause":"powerLoss","panics":["dmesg-ramoops-0 0123456789ab"]}`))
	f.Add([]byte(`{"format":9}`))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, record []byte) {
		path := filepath.Join(t.TempDir(), bootFile)
		put(t, path, record)
		var got bootRecord
		err := readRecord(path, &got)
		if err != nil && !errors.Is(err, errNewerFormat) && !errors.Is(err, errDamaged) || err == nil && got.Format != recordFormat {
			t.Errorf("%q: %+v, %v", record, got, err)
		}
	})
}

func put(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func checkText(t *testing.T, what, text string) {
	t.Helper()
	if utf8.RuneCountInString(text) > 2*maxText || !utf8.ValidString(text) {
		t.Errorf("%s is %q", what, text)
	}
	for _, r := range text {
		if !unicode.IsPrint(r) {
			t.Errorf("%s has %q in it: %q", what, r, text)
		}
	}
}
