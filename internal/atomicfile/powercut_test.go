package atomicfile

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"testing"
)

// model is a disk in memory that knows what a power cut may take away. Content
// is safe up to the last Sync of its file. Names are safe up to the last syncDir;
// of the changes of names since then any may have reached the disk or not, in
// any order, which is more than a real file system allows itself.
type model struct {
	visible map[string]*modelFile         // names as programs see them
	durable map[string]*modelFile         // names as the last syncDir left them
	pending []func(map[string]*modelFile) // changes of names since then

	stepsLeft int    // calls until the power is cut; negative: never
	lie       string // the call that claims to sync, but does not
}

type modelFile struct {
	m            *model
	data, synced []byte
}

// powerCut is the panic that ends a program in the middle of a step.
type powerCut struct{}

func (m *model) step() {
	if m.stepsLeft == 0 {
		panic(powerCut{})
	}
	m.stepsLeft--
}

func (m *model) change(op func(map[string]*modelFile)) {
	op(m.visible)
	m.pending = append(m.pending, op)
}

func (m *model) create(name string) (file, error) {
	m.step()
	f := &modelFile{m: m}
	m.change(func(names map[string]*modelFile) { names[name] = f })
	return f, nil
}

func (m *model) rename(from, to string) error {
	m.step()
	f := m.visible[from]
	if f == nil {
		return fs.ErrNotExist
	}
	m.change(func(names map[string]*modelFile) {
		delete(names, from)
		names[to] = f
	})
	return nil
}

func (m *model) remove(name string) error {
	m.step()
	m.change(func(names map[string]*modelFile) { delete(names, name) })
	return nil
}

func (m *model) exists(string) error            { return nil }
func (m *model) names(string) ([]string, error) { return nil, nil }

func (m *model) syncDir(string) error {
	m.step()
	if m.lie != "syncDir" {
		m.durable, m.pending = maps.Clone(m.visible), nil
	}
	return nil
}

func (f *modelFile) Chmod(os.FileMode) error { f.m.step(); return nil }
func (f *modelFile) Close() error            { f.m.step(); return nil }

// Write is two steps, so that the power can be cut in its middle.
func (f *modelFile) Write(p []byte) (int, error) {
	f.m.step()
	f.data = append(f.data, p[:len(p)/2]...)
	f.m.step()
	f.data = append(f.data, p[len(p)/2:]...)
	return len(p), nil
}

func (f *modelFile) Sync() error {
	f.m.step()
	if f.m.lie != "sync" {
		f.synced = bytes.Clone(f.data)
	}
	return nil
}

// afterPowerCut calls check with each content that path may have when the power
// comes back: with every subset of the pending changes of names, and with the
// unsynced content lost or there as far as it was written.
func (m *model) afterPowerCut(path string, check func(content string)) {
	for subset := range 1 << len(m.pending) {
		names := maps.Clone(m.durable)
		for i, op := range m.pending {
			if subset&(1<<i) != 0 {
				op(names)
			}
		}
		f := names[path]
		if f == nil {
			check("(no file)")
			continue
		}
		check(string(f.synced))
		check(string(f.data))
	}
}

// cutAfter writes "new content" over "old" on a disk whose power is cut after
// that many steps, and returns the disk and whether WriteFile came to its end.
func cutAfter(steps int, lie, path string) (m *model, done bool) {
	old := &modelFile{data: []byte("old"), synced: []byte("old")}
	m = &model{
		visible:   map[string]*modelFile{path: old},
		durable:   map[string]*modelFile{path: old},
		stepsLeft: steps,
		lie:       lie,
	}
	old.m = m
	defer func() {
		if r := recover(); r != nil && r != (powerCut{}) {
			panic(r)
		}
	}()
	if err := writeFile(m, path, []byte("new content"), 0o600); err != nil {
		panic(err)
	}
	return m, true
}

// broken lists the contents that a power cut can leave although it must not.
func broken(t *testing.T, lie string) (wrong []string) {
	path := "/" + t.Name() + lie + "/state.json"
	for steps := 0; ; steps++ {
		m, done := cutAfter(steps, lie, path)
		m.afterPowerCut(path, func(got string) {
			if got == "new content" || got == "old" && !done {
				return
			}
			wrong = append(wrong, fmt.Sprintf("after step %d (written: %v): %q", steps, done, got))
		})
		if done {
			if steps < 7 {
				t.Errorf("only %d steps seen: the model misses some", steps)
			}
			return wrong
		}
	}
}

func TestPowerCutAtAnyStepLeavesOldOrNew(t *testing.T) {
	for _, wrong := range broken(t, "") {
		t.Error(wrong)
	}
}

// The test above proves something only if the model notices a missing sync.
func TestModelNoticesAMissingSync(t *testing.T) {
	for _, lie := range []string{"sync", "syncDir"} {
		if len(broken(t, lie)) == 0 {
			t.Errorf("without %s nothing was lost", lie)
		}
	}
}
