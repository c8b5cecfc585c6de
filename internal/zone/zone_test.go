package zone

import (
	"archive/zip"
	"bufio"
	"bytes"
	"compress/flate"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// newSystem makes a directory the system's only source of zones.
func newSystem(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, content := range files {
		write(t, filepath.Join(dir, name), content)
	}
	use(t, dir)
	return dir
}

func use(t *testing.T, dirs ...string) {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	oldSources, oldKnown := sources, known
	sources, known = dirs, map[string]zone{}
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		sources, known = oldSources, oldKnown
	})
}

// write replaces a file as a package manager does.
func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+".new", []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// copied gives a zone's TZif data.
func copied(t *testing.T, name string) string {
	t.Helper()
	data, _, spelled, err := embedded(name)
	if err != nil || spelled != name {
		t.Fatalf("embedded(%q): %q, %v", name, spelled, err)
	}
	return string(data)
}

func embeddedData(t *testing.T) Data {
	t.Helper()
	_, version, _, err := embedded("UTC")
	if err != nil {
		t.Fatal(err)
	}
	return Data("embedded " + version)
}

func load1(t *testing.T, name string, data Data, offset int) *time.Location {
	t.Helper()
	location, d, err := Load(name)
	if err != nil {
		t.Fatal(err)
	}
	if d != data || location.String() != name {
		t.Errorf("Load(%q) = %v, %q; want data %q", name, location, d, data)
	}
	if _, o := time.Date(2026, 7, 1, 12, 0, 0, 0, location).Zone(); o != offset {
		t.Errorf("%s from %s: an offset of %d s in July; want %d", name, data, o, offset)
	}
	return location
}

const hour = 3600

func TestSystemFirst(t *testing.T) {
	dir := newSystem(t, map[string]string{
		"tzdata.zi":    "# version 2031a\n# more\nR a b\n",
		"Europe/Paris": copied(t, "Asia/Tokyo"), // to tell it from the copy
	})
	paris := load1(t, "Europe/Paris", "system 2031a", 9*hour)
	if again := load1(t, "Europe/Paris", "system 2031a", 9*hour); again != paris {
		t.Error("the same data, and another *Location")
	}
	load1(t, "Europe/Berlin", embeddedData(t), 2*hour) // missing on the system

	// An upgrade while the program runs, of the same size and in the same instant.
	info, err := os.Stat(filepath.Join(dir, "Europe/Paris"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "Europe/Paris"), strings.Replace(copied(t, "Asia/Tokyo"), "JST-9", "JST-8", 1))
	if err := os.Chtimes(filepath.Join(dir, "Europe/Paris"), info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	load1(t, "Europe/Paris", "system 2031a", 8*hour)

	write(t, filepath.Join(dir, "tzdata.zi"), "# version 2031b\n")
	load1(t, "Europe/Paris", "system 2031b", 8*hour)

	write(t, filepath.Join(dir, "Europe/Paris"), "TZif and no more")
	load1(t, "Europe/Paris", embeddedData(t), 2*hour)
	if err := os.Remove(filepath.Join(dir, "Europe/Paris")); err != nil {
		t.Fatal(err)
	}
	load1(t, "Europe/Paris", embeddedData(t), 2*hour)

	write(t, filepath.Join(dir, "Europe/Berlin"), copied(t, "Asia/Tokyo"))
	load1(t, "Europe/Berlin", "system 2031b", 9*hour)
}

func TestVersions(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  Data
	}{
		"none":            {nil, "system"},
		"tzdata.zi":       {map[string]string{"tzdata.zi": "# version 2025b\nR d 1916 o - Jun 14 23s 1 S\n"}, "system 2025b"},
		"one short line":  {map[string]string{"tzdata.zi": "# version 2025b"}, "system 2025b"},
		"of a maintainer": {map[string]string{"tzdata.zi": "# version 2025b-12-g3d2\n"}, "system 2025b-12-g3d2"},
		"+VERSION":        {map[string]string{"+VERSION": "2024a\n"}, "system 2024a"},
		"both":            {map[string]string{"tzdata.zi": "# version 2025b\n", "+VERSION": "2024a\n"}, "system 2025b"},
		"no version":      {map[string]string{"tzdata.zi": "# tzdb links\n", "+VERSION": "2024a\n"}, "system 2024a"},
		"empty":           {map[string]string{"tzdata.zi": ""}, "system"},
		"nonsense":        {map[string]string{"+VERSION": "\x1b[31m2024a\n"}, "system"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := newSystem(t, c.files)
			write(t, filepath.Join(dir, "Asia/Tokyo"), copied(t, "Asia/Tokyo"))
			load1(t, "Asia/Tokyo", c.want, 9*hour)
		})
	}
}

func TestLinksAndDirectories(t *testing.T) {
	dir := newSystem(t, map[string]string{"Asia/Tokyo": copied(t, "Asia/Tokyo")})
	if err := os.Symlink("Asia/Tokyo", filepath.Join(dir, "Cuba")); err != nil {
		t.Skip("no symbolic links: ", err)
	}
	load1(t, "Cuba", "system", 9*hour)
	// The link stays as it is and leads to another zone.
	write(t, filepath.Join(dir, "Asia/Tokyo"), copied(t, "Europe/Paris"))
	load1(t, "Cuba", "system", 2*hour)
	if err := os.Mkdir(filepath.Join(dir, "Japan"), 0o755); err != nil {
		t.Fatal(err)
	}
	load1(t, "Japan", embeddedData(t), 9*hour)
	if _, _, err := Load("Asia"); err == nil {
		t.Error("a directory is a zone")
	}
}

func TestSecondSource(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	write(t, filepath.Join(second, "Asia/Tokyo"), copied(t, "Asia/Tokyo"))
	write(t, filepath.Join(second, "tzdata.zi"), "# version 2030a\n")
	write(t, filepath.Join(first, "tzdata.zi"), "# version 2020a\n")
	use(t, first, second)
	load1(t, "Asia/Tokyo", "system 2030a", 9*hour)
}

func TestUTC(t *testing.T) {
	newSystem(t, nil)
	if load1(t, "UTC", embeddedData(t), 0) != time.UTC {
		t.Error("UTC is not time.UTC")
	}
	newSystem(t, map[string]string{"UTC": copied(t, "UTC"), "tzdata.zi": "# version 2030a\n"})
	if load1(t, "UTC", "system 2030a", 0) != time.UTC {
		t.Error("UTC is not time.UTC")
	}
}

func TestRefused(t *testing.T) {
	tokyo := copied(t, "Asia/Tokyo")
	newSystem(t, map[string]string{
		"Local": tokyo, "localtime": tokyo, "posixrules": tokyo, "posix/Asia/Tokyo": tokyo, "right/Asia/Tokyo": tokyo,
		"tzdata.zi": "# version 2030a\n", "zone.tab": "#\n", "+VERSION": "2030a\n", "a.b": tokyo, "europe/berlin": tokyo,
		"Asia/Tokyo": tokyo, "Huge": tokyo + strings.Repeat("\x00", maxZoneSize),
	})
	for _, name := range []string{
		"", "Local", "localtime", "posixrules", "posix/Asia/Tokyo", "right/Asia/Tokyo", "tzdata.zi", "zone.tab",
		"+VERSION", "/usr/share/zoneinfo/Asia/Tokyo", "/Asia/Tokyo", "Asia//Tokyo", "Asia/Tokyo/", "Asia", "..",
		"Asia/../Asia/Tokyo", "./Asia/Tokyo", "Asia\\Tokyo", "C:Asia", "a.b", "Asia/Tokyo\x00", "Europe/Berln",
		"Huge", "CEST", "+02:00", "GMT+2h", strings.Repeat("a/", 100) + "a", "Mars/Phobos", "Európe/Paris",
	} {
		if l, d, err := Load(name); err == nil {
			t.Errorf("Load(%q) = %v, %q", name, l, d)
		}
	}
	_, _, err := Load("europe/berlin")
	if err == nil || !strings.Contains(err.Error(), `"Europe/Berlin"`) {
		t.Errorf("the error does not help: %v", err)
	}
	if len(known) > 0 {
		t.Errorf("names that were refused are remembered: %d", len(known))
	}
}

// A new zone that the copy does not know yet.
func TestNewer(t *testing.T) {
	newSystem(t, map[string]string{"Europe/Atlantis": copied(t, "Asia/Tokyo"), "tzdata.zi": "# version 2040a\n"})
	load1(t, "Europe/Atlantis", "system 2040a", 9*hour)
}

func TestConcurrently(t *testing.T) {
	dir := newSystem(t, map[string]string{"Asia/Tokyo": copied(t, "Asia/Tokyo")})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 50 {
				if _, _, err := Load("Asia/Tokyo"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for _, other := range []string{"Europe/Paris", "Asia/Tokyo"} {
		write(t, filepath.Join(dir, "Asia/Tokyo"), copied(t, other))
	}
	wg.Wait()
}

// Every zone of the toolchain is in the copy, and is the same there.
func TestEmbedded(t *testing.T) {
	use(t)
	dir := toolchainData(t)
	archive, err := zip.OpenReader(filepath.Join(dir, "zoneinfo.zip"))
	if err != nil {
		t.Skip("the toolchain has no time zones: ", err)
	}
	defer archive.Close()
	script, err := os.ReadFile(filepath.Join(dir, "update.bash"))
	if err != nil {
		t.Skip(err)
	}
	data := embeddedData(t)
	version := strings.TrimPrefix(string(data), "embedded ")
	if !bytes.Contains(script, []byte("\nDATA="+version+"\n")) {
		t.Skipf("the toolchain has another version than %s; `make zones` takes it over", version)
	}
	content := map[string]string{}
	for _, f := range archive.File {
		r, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		content[f.Name] = string(text)
	}
	if len(content) < 500 {
		t.Fatalf("only %d zones in the toolchain", len(content))
	}
	if !maps.Equal(unpacked(t), content) {
		t.Error("the copy differs; `make zones` takes the toolchain's over")
	}
	if names, err := Names(); err != nil || !slices.Equal(names, slices.Sorted(maps.Keys(content))) {
		t.Errorf("%d names, %v", len(names), err)
	}
	// Unpacking the copy takes 10 ms under the race detector, so not all of 600
	// names every time; which ones is the map's choice.
	n := 0
	for name, want := range content {
		if !isName(name) {
			t.Errorf("%s is not taken for a name", name)
		}
		if n++; n <= 60 || os.Getenv("LATCHD_SOAK") != "" {
			sameZone(t, name, want, data)
		}
	}
}

func sameZone(t *testing.T, name, want string, data Data) {
	t.Helper()
	got, d, err := Load(name)
	if err != nil || d != data {
		t.Errorf("Load(%q): %q, %v", name, d, err)
		return
	}
	reference, err := time.LoadLocationFromTZData(name, []byte(want))
	if err != nil {
		t.Fatal(err)
	}
	for at := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2060; at = at.Add(100 * 24 * time.Hour) {
		name1, offset1 := at.In(got).Zone()
		name2, offset2 := at.In(reference).Zone()
		if name1 != name2 || offset1 != offset2 {
			t.Errorf("%s at %s: %s %d; want %s %d", name, at, name1, offset1, name2, offset2)
			return
		}
	}
}

// unpacked gives the whole copy, name by name.
func unpacked(t *testing.T) map[string]string {
	t.Helper()
	r := bufio.NewReader(flate.NewReader(bytes.NewReader(packed)))
	_, groups, err := list(r)
	if err != nil {
		t.Fatal(err)
	}
	zones := map[string]string{}
	for _, g := range groups {
		data := make([]byte, g.size)
		if _, err := io.ReadFull(r, data); err != nil {
			t.Fatal(err)
		}
		for _, name := range g.names {
			zones[name] = string(data)
		}
	}
	if rest, err := io.ReadAll(r); err != nil || len(rest) > 0 {
		t.Errorf("%d bytes follow the zones: %v", len(rest), err)
	}
	return zones
}

func toolchainData(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOROOT").Output()
	if err != nil {
		t.Skip("no go command: ", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "lib", "time")
}

// The machine that runs the tests.
func TestThisSystem(t *testing.T) {
	_, data, err := Load("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("Europe/Berlin on %s: %s", runtime.GOOS, data)
	if !strings.HasPrefix(string(data), "system") && !strings.HasPrefix(string(data), "embedded ") {
		t.Errorf("data are %q", data)
	}
}

func BenchmarkLoadAgain(b *testing.B) {
	for b.Loop() {
		if _, _, err := Load("Europe/Berlin"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEmbedded(b *testing.B) {
	for b.Loop() {
		if _, _, _, err := embedded("Pacific/Chatham"); err != nil {
			b.Fatal(err)
		}
	}
}
