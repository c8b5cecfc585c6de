package health

import (
	"context"
	"fmt"
	"strconv"
	"strings"
)

const (
	megabyte = 1 << 20
	// fullBytes and lowBytes are what is left when the disk counts as full, and as
	// low. The service needs less than 1 MB; a card with less than 200 MB cannot
	// take an update of the operating system, and wears faster.
	fullBytes = 10 * megabyte
	lowBytes  = 200 * megabyte
	// fullFiles and lowFiles are the same of the files that may still be made.
	fullFiles = 100
	lowFiles  = 5000
)

// places are where there must be room: for the state, and for the system.
func (f *Facts) places() []string {
	if f.StateDir == "" {
		return []string{"/"}
	}
	return []string{f.StateDir, "/"}
}

func checkDiskSpace(_ context.Context, f *Facts) finding {
	if f.Space == nil {
		return notHere("nobody can say what is free")
	}
	low := fine("")
	text := ""
	for _, dir := range f.places() {
		s, err := f.Space(f.tree().path(dir))
		if err != nil {
			continue // the check stateDirectory tells of a missing one
		}
		left := fmt.Sprintf("%d of %d MB are free", s.Free/megabyte, s.Total/megabyte)
		limited := s.TotalFiles > 0
		if limited && s.FreeFiles < lowFiles {
			left += fmt.Sprintf(", and %d of %d files", s.FreeFiles, s.TotalFiles)
		}
		switch {
		case s.Free < fullBytes, limited && s.FreeFiles < fullFiles:
			return faultDiskFull.with(dir, left)
		case low.fault != nil:
		case s.Free < lowBytes, limited && s.FreeFiles < lowFiles:
			low = faultDiskLow.with(dir, left)
		case text == "":
			text = left + " at " + dir
		}
	}
	if low.fault != nil {
		return low
	}
	return fine("%s", text)
}

func checkDiskWritable(_ context.Context, f *Facts) finding {
	mounts, err := f.tree().read("proc/self/mounts")
	if err != nil {
		return notHere("the mounts cannot be read")
	}
	if f.StateDir == "" {
		return notHere("nothing is kept")
	}
	point, options := mountOf(f.StateDir, mounts)
	for option := range strings.SplitSeq(options, ",") {
		// emergency_ro is how newer ext4 tells that it gave up.
		if option == "ro" || option == "emergency_ro" || option == "shutdown" {
			return faultDiskReadOnly.with(point, f.StateDir)
		}
	}
	return fine("the file system at %s takes writes", point)
}

// mountOf finds the mount point that a directory is on, and its options. Of
// several at one place the last one counts: it covers the others.
func mountOf(dir, mounts string) (point, options string) {
	for line := range strings.Lines(mounts) {
		field := strings.Fields(line) // device, point, type, options, ...
		if len(field) < 4 {
			continue
		}
		at := field[1] // with \040 for a space; no state directory has one
		under := dir == at || strings.HasPrefix(dir, strings.TrimSuffix(at, "/")+"/")
		if under && len(at) >= len(point) {
			point, options = at, field[3]
		}
	}
	return point, options
}

func checkDiskHealth(_ context.Context, f *Facts) finding {
	t := f.tree()
	counted, told := 0, ""
	for _, file := range t.glob("sys/fs/ext4/*/errors_count") {
		device := strings.Split(file, "/")[4]
		n, ok := t.number(file)
		if !ok {
			continue
		}
		counted++
		if n > 0 {
			return faultDiskErrors.with(device, n)
		}
	}
	wears := fine("")
	for _, dir := range t.glob("sys/block/mmcblk*/device") {
		device := strings.Split(dir, "/")[3]
		wear, f := t.wear(dir)
		switch {
		case wear == "":
			continue // a card, and not an eMMC, tells nothing
		case f == &faultDiskWornOut:
			return f.with(device, wear)
		case f != nil:
			wears = f.with(device, wear)
		}
		told = fmt.Sprintf("; %s: %s", device, wear)
	}
	if wears.fault != nil {
		return wears
	}
	if told == "" {
		told = "; no disk tells its wear"
	}
	return fine("ext4 file systems without errors: %d%s", counted, told)
}

// wear is what an eMMC says of itself, and whether that is a fault: life_time has
// two estimates of the life used up, in steps of a tenth (11: all of it), and
// pre_eol_info whether its spare blocks are normal (1), 80 % used (2) or urgent
// (3). (JEDEC JESD84-B51, EXT_CSD registers 267 to 269.)
func (t tree) wear(dir string) (text string, f *fault) {
	most := int64(0)
	for estimate := range strings.FieldsSeq(t.text(dir + "/life_time")) {
		n, _ := strconv.ParseInt(estimate, 0, 64)
		most = max(most, n)
	}
	spare, _ := t.number(dir + "/pre_eol_info")
	switch {
	case most > 10:
		text = "its life is over by its own estimate"
	case most > 0:
		text = fmt.Sprintf("up to %d %% of its life are used", most*10)
	}
	if spare >= 2 {
		text = strings.TrimPrefix(text+", its spare blocks run out", ", ")
	}
	switch {
	case most > 10, spare >= 3:
		return text, &faultDiskWornOut
	case most >= 9, spare == 2:
		return text, &faultDiskWears
	}
	return text, nil
}
