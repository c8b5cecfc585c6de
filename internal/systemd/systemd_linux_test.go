package systemd

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// manager is the service manager's end of the socket.
func manager(t *testing.T, abstract bool) *net.UnixConn {
	t.Helper()
	name := filepath.Join(t.TempDir(), "notify")
	env := name
	if abstract {
		name = fmt.Sprintf("\x00latchd-test-%d-%s", os.Getpid(), t.Name())
		env = "@" + name[1:]
	}
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("NOTIFY_SOCKET", env)
	return socket
}

func receive(t *testing.T, socket *net.UnixConn) (text string, files []int) {
	t.Helper()
	data, control := make([]byte, 4096), make([]byte, 256)
	n, controlLen, _, _, err := socket.ReadMsgUnix(data, control)
	if err != nil {
		t.Fatal(err)
	}
	messages, err := unix.ParseSocketControlMessage(control[:controlLen])
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		rights, err := unix.ParseUnixRights(&m)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, rights...)
	}
	return string(data[:n]), files
}

func TestNotify(t *testing.T) {
	for _, abstract := range []bool{false, true} {
		t.Run(fmt.Sprint("abstract ", abstract), func(t *testing.T) {
			socket := manager(t, abstract)
			for want, tell := range map[string]func() error{
				"READY=1":                    Ready,
				"WATCHDOG=1":                 Alive,
				"STATUS=door locked, online": func() error { return Status("door locked,\n online") },
				"FDSTOREREMOVE=1\nFDNAME=a":  func() error { return Remove("a") },
			} {
				if err := tell(); err != nil {
					t.Fatal(err)
				}
				if got, _ := receive(t, socket); got != want {
					t.Errorf("the manager heard %q, want %q", got, want)
				}
			}
			if err := Reloading(); err != nil {
				t.Fatal(err)
			}
			if got, _ := receive(t, socket); !strings.HasPrefix(got, "RELOADING=1\nMONOTONIC_USEC=") {
				t.Errorf("the manager heard %q", got)
			}
		})
	}
}

func TestWithoutAManagerNothingFails(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := Store("a", os.Stderr); err != nil {
		t.Error(err)
	}
}

func TestAManagerThatIsAway(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "nobody"))
	if err := Ready(); err == nil {
		t.Error("nobody heard it, and yet no error")
	}
}

func TestNamesOfDescriptors(t *testing.T) {
	for _, name := range []string{"", "a:b", "a b", "a\nb", "ä", strings.Repeat("x", 256)} {
		if Store(name, os.Stderr) == nil || Remove(name) == nil {
			t.Errorf("%q was taken for a name", name)
		}
	}
}

func TestWatchdogInterval(t *testing.T) {
	for _, test := range []struct {
		usec, pid string
		want      time.Duration
	}{
		{"", "", 0},
		{"30000000", "", 30 * time.Second},
		{"30000000", fmt.Sprint(os.Getpid()), 30 * time.Second},
		{"30000000", "1", 0},
		{"x", "", 0},
		{"-1", "", 0},
	} {
		t.Setenv("WATCHDOG_USEC", test.usec)
		t.Setenv("WATCHDOG_PID", test.pid)
		if got := WatchdogInterval(); got != test.want {
			t.Errorf("%q for %q: %v, want %v", test.usec, test.pid, got, test.want)
		}
	}
}

// A stored descriptor goes through the manager's hands to the next process of the
// service, which is this test once more.
func TestDescriptorsOutliveTheProcess(t *testing.T) {
	if os.Getenv("LISTEN_FDS") != "" {
		nextProcess(t)
		return
	}
	socket := manager(t, false)
	file, err := os.Create(filepath.Join(t.TempDir(), "line"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteString("the same file"); err != nil {
		t.Fatal(err)
	}
	if err := Store("lock/chip/17", file); err != nil {
		t.Fatal(err)
	}
	text, fds := receive(t, socket)
	if text != "FDSTORE=1\nFDNAME=lock/chip/17\nFDPOLL=0" || len(fds) != 1 {
		t.Fatalf("the manager got %q and %d descriptors", text, len(fds))
	}
	_ = file.Close()
	kept := os.NewFile(uintptr(fds[0]), "kept")
	defer kept.Close()

	// The shell says LISTEN_PID, as systemd does between fork and exec.
	next := exec.Command("sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	next.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=lock/chip/17:")
	next.ExtraFiles = []*os.File{kept, os.Stderr}
	out, err := next.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "the next process has it") {
		t.Errorf("%v\n%s", err, out)
	}
}

func nextProcess(t *testing.T) {
	files := activation.Files(true)
	if len(files) != 2 || files[0].Name() != "lock/chip/17" {
		t.Fatal(files)
	}
	if _, err := files[0].Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(files[0]); string(text) != "the same file" {
		t.Fatalf("%q, %v", text, err)
	}
	t.Log("the next process has it")
}
