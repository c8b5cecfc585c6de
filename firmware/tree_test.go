package firmware

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// grow makes a tree of the given files.
func grow(t *testing.T, files map[string]string) tree {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return tree(root)
}

// noKernel answers nothing, as a kernel that does not know.
func noKernel() kernel {
	return kernel{
		architecture: func() string { return "" },
		storage:      func(string) int64 { return 0 },
		pidNamespace: func() string { return "" },
	}
}

func TestAnEmptyTreeSaysNothing(t *testing.T) {
	root := grow(t, nil)
	if got := root.information(noKernel()); got != (Information{}) {
		t.Errorf("got %+v", got)
	}
	if got := root.container(noKernel()); got != "" {
		t.Errorf("container %q", got)
	}
	if cause, evidence := root.cause(nil); cause != CauseUnknown || evidence != "" {
		t.Errorf("cause %q by %q", cause, evidence)
	}
}

func TestBootID(t *testing.T) {
	const name, good = "proc/sys/kernel/random/boot_id", "6a0c2a3e-5f0b-4c1d-9d58-1f0e6a1f7b42"
	if got, err := grow(t, map[string]string{name: good + "\n"}).bootID(); err != nil || got != good {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range []string{
		"", "\n", "6a0c2a3e5f0b4c1d9d581f0e6a1f7b42", strings.ToUpper(good), good + "0",
		good[:35], strings.Replace(good, "-", "0", 1), strings.Replace(good, "6", "g", 1),
	} {
		if _, err := grow(t, map[string]string{name: bad}).bootID(); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
	if _, err := grow(t, nil).bootID(); err == nil {
		t.Error("a missing boot id was accepted")
	}
}

func TestNewBootIDsAreVersion4(t *testing.T) {
	seen := map[string]bool{}
	for range 100 {
		id := newBootID()
		if err := checkBootID(id); err != nil {
			t.Fatal(err)
		}
		if id[14] != '4' || !strings.ContainsRune("89ab", rune(id[19])) {
			t.Errorf("%s is not a version 4 UUID", id)
		}
		if seen[id] {
			t.Errorf("%s came twice", id)
		}
		seen[id] = true
	}
}

func TestContainers(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		ns    string
		want  string
	}{
		{"the machine itself", map[string]string{"proc/1/environ": "HOME=/\x00TERM=linux\x00"}, initialPIDNamespace, ""},
		{"namespace not readable", nil, "", ""},
		{"systemd inside", map[string]string{"run/systemd/container": "lxc\n"}, initialPIDNamespace, "lxc"},
		{"nspawn", map[string]string{"run/host/container-manager": "systemd-nspawn\n"}, "", "systemd-nspawn"},
		{"docker", map[string]string{".dockerenv": ""}, "", "docker"},
		{"podman", map[string]string{"run/.containerenv": ""}, "", "podman"},
		{"first process's environment", map[string]string{"proc/1/environ": "A=b\x00container=oci\x00"}, "", "oci"},
		{"empty variable", map[string]string{"proc/1/environ": "container=\x00"}, "", ""},
		{"only a namespace", nil, "pid:[4026532447]", "unknown"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			k := noKernel()
			k.pidNamespace = func() string { return test.ns }
			if got := grow(t, test.files).container(k); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestOSName(t *testing.T) {
	tests := []struct{ name, release, want string }{
		{"double quotes", `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"`, "Debian GNU/Linux 12 (bookworm)"},
		{"single quotes", `PRETTY_NAME='It "is" \$'`, `It "is" \$`},
		{"no quotes", "PRETTY_NAME=Buildroot", "Buildroot"},
		{"escapes", `PRETTY_NAME="a \"b\" \$c \\ \` + "`" + `"`, "a \"b\" $c \\ `"},
		{"comments and other keys", "# PRETTY_NAME=no\nNAME=no\nPRETTY_NAME=yes\n", "yes"},
		{"the last counts", "PRETTY_NAME=first\nPRETTY_NAME=last\n", "last"},
		{"missing key", "NAME=Yocto\n", "Linux"},
		{"unprintable", "PRETTY_NAME=\"a\x1b[31mb\xff\"", "a[31mb"},
		{"endless", "PRETTY_NAME=" + strings.Repeat("ä", 500), strings.Repeat("ä", maxText)},
		{"lone quote", `PRETTY_NAME="`, `"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := grow(t, map[string]string{"usr/lib/os-release": test.release}).osName(); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
	both := grow(t, map[string]string{"etc/os-release": "PRETTY_NAME=etc", "usr/lib/os-release": "PRETTY_NAME=usr"})
	if got := both.osName(); got != "etc" {
		t.Errorf("got %q, want the one in /etc", got)
	}
}

func TestMemory(t *testing.T) {
	tests := map[string]int64{
		"MemTotal:        3884344 kB\nMemFree: 1 kB\n": 3884344,
		"MemFree: 1 kB\n":                     0,
		"MemTotal: much kB\n":                 0,
		"MemTotal: -4 kB\n":                   0,
		"MemTotal: 4 MB\n":                    0,
		"MemTotal: 99999999999999999999 kB\n": 0,
	}
	for content, want := range tests {
		if got := grow(t, map[string]string{"proc/meminfo": content}).memory(); got != want {
			t.Errorf("%q: got %d, want %d", content, got, want)
		}
	}
}

func TestBoards(t *testing.T) {
	tests := []struct {
		name                           string
		files                          map[string]string
		manufacturer, model, processor string
	}{
		{
			"BIOS nobody filled in",
			map[string]string{
				"sys/class/dmi/id/sys_vendor": "To Be Filled By O.E.M.\n", "sys/class/dmi/id/product_name": "To Be Filled By O.E.M.\n",
				"sys/class/dmi/id/board_vendor": "ASRock\n", "sys/class/dmi/id/board_name": "J4105-ITX\n",
				"proc/cpuinfo": "processor\t: 0\nvendor_id\t: GenuineIntel\n",
			},
			"ASRock", "J4105-ITX", "Intel",
		},
		{
			"board of a maker not in the list",
			map[string]string{"proc/device-tree/model": "Board\x00", "proc/device-tree/compatible": "acme,board\x00acme,chip\x00"},
			"acme", "Board", "acme",
		},
		{
			"virtual machine",
			map[string]string{"proc/device-tree/model": "linux,dummy-virt\x00", "proc/device-tree/compatible": "linux,dummy-virt\x00"},
			"linux", "linux,dummy-virt", "",
		},
		{
			"compatible without a maker",
			map[string]string{"proc/device-tree/model": "Old\x00", "proc/device-tree/compatible": "old\x00"},
			"", "Old", "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := grow(t, test.files).information(noKernel())
			want := Information{Manufacturer: test.manufacturer, Model: test.model, ProcessorManufacturer: test.processor}
			if got != want {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}
