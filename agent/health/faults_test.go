package health

import (
	"context"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

var errTest = errors.New("no such luck")

// One row for each fault there is: how a device without one gets it, and what its
// text and remedy must then name.
var made = []struct {
	name  string
	check string
	fault *fault
	spoil func(d *device)
	words []string
}{
	{"the service does not run", "service", &faultServiceDown, func(d *device) { d.Service = Service{} }, []string{"control socket"}},
	{"nothing keeps the line", "service", &faultLineNotKept, func(d *device) {
		d.Service.Kept = func(context.Context) (int, error) { return 0, nil }
	}, []string{"FileDescriptorStoreMax"}},

	{"the configuration is wrong", "configuration", &faultConfigurationWrong, func(d *device) {
		d.Configuration.Parse = func() error { return errTest }
	}, []string{"no such luck"}},
	{"the configuration was wrong", "configuration", &faultConfigurationInUse, func(d *device) { d.Configuration.InUse = errTest.Error() }, []string{"restart"}},
	{"a named file is missing", "configuration", &faultNamedFile, func(d *device) { d.remove("etc/latchd/ca.pem") }, []string{"hub.ca_file", "/etc/latchd/ca.pem"}},
	{
		"others read a secret", "configurationPermissions", &faultSecretReadable, func(d *device) { d.chmod("etc/latchd/device.connection", 0o644) },
		[]string{"0644", "chmod go= /etc/latchd/device.connection"},
	},
	{"others read a configuration with a key", "configurationPermissions", &faultSecretReadable, func(d *device) { d.Configuration.Secret = true }, []string{"latchd.toml"}},
	{"others read the credentials' directory", "configurationPermissions", &faultSecretReadable, func(d *device) { d.chmod("etc/latchd/credentials", 0o755) }, nil},
	{"others read a credential", "configurationPermissions", &faultSecretReadable, func(d *device) { d.chmod("etc/latchd/credentials/connection-string", 0o604) }, nil},
	{"a group reads a secret", "configurationPermissions", &faultSecretReadable, func(d *device) {
		d.needOwnGroup()
		d.GID++
		d.chmod("etc/latchd/device.connection", 0o640)
	}, nil},
	{"others write the configuration", "configurationPermissions", &faultWritable, func(d *device) { d.chmod("etc/latchd/latchd.toml", 0o646) }, []string{"0646"}},
	{"others write where the configuration is", "configurationPermissions", &faultWritable, func(d *device) { d.chmod("etc/latchd", 0o757) }, []string{"/etc/latchd", "0757"}},
	{"somebody owns the configuration", "configurationPermissions", &faultOwner, func(d *device) {
		d.chown("etc/latchd/latchd.toml")
	}, []string{"latchd.toml", "chown root"}},

	{"no state directory", "stateDirectory", &faultStateMissing, func(d *device) { d.remove("var/lib/latchd") }, []string{"/var/lib/latchd"}},
	{"a file for a state directory", "stateDirectory", &faultStateMissing, func(d *device) {
		d.remove("var/lib/latchd")
		d.write("var/lib/latchd", "")
	}, []string{"no directory"}},
	{"another's state directory", "stateDirectory", &faultStateForeign, func(d *device) { d.UID++ }, nil},
	{"an open state directory", "stateDirectory", &faultStateOpen, func(d *device) { d.chmod("var/lib/latchd", 0o755) }, []string{"0755"}},
	{"no lock on the state", "stateDirectory", &faultStateLock, func(d *device) { d.Lockable = func(string) error { return errTest } }, nil},
	{"the state is not written", "stateDirectory", &faultStateUnsaved, func(d *device) { d.Unsaved = func(context.Context) string { return "disk full" } }, []string{"disk full"}},
	{"a changed program", "packageIntegrity", &faultPackageFiles, func(d *device) { d.write("usr/bin/latchd", "another") }, []string{"/usr/bin/latchd"}},
	{"a missing file", "packageIntegrity", &faultPackageFiles, func(d *device) { d.remove("usr/bin/latchd") }, []string{"no such file"}},

	{"no credentials", "credentials", &faultCredentials, func(d *device) {
		d.Credentials = func() (Credentials, error) { return Credentials{}, errTest }
	}, []string{"latchd configure"}},
	{"a certificate that ended", "credentialsEnd", &faultCertificateOver, func(d *device) { d.certificateUntil(-time.Hour) }, nil},
	{"a certificate that ends", "credentialsEnd", &faultCertificateEnds, func(d *device) { d.certificateUntil(29*day + time.Hour) }, []string{"in 29 days"}},
	{"an untrusted clock", "clock", &faultClock, func(d *device) {
		d.Clock = func() (string, time.Time) { return "restored", time.Time{} }
	}, []string{"restored"}},
	{"no time zones", "zoneData", &faultZoneData, func(d *device) { d.remove("usr/share/zoneinfo") }, []string{"tzdata"}},
	{"a wrong name", "dns", &faultName, func(d *device) {
		d.hub.lookup = func(context.Context, string) ([]string, error) {
			return nil, &net.DNSError{Err: "no such host", Name: "hub.example", IsNotFound: true}
		}
	}, []string{"hub.example", "no such host"}},
	{"no name server", "dns", &faultNameServer, func(d *device) {
		d.hub.lookup = func(ctx context.Context, _ string) ([]string, error) {
			return nil, &net.DNSError{Err: "timeout", IsTimeout: true}
		}
	}, []string{"resolv.conf"}},
	{"a firewall", "port8883", &faultPort, func(d *device) {
		d.hub.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errTest }
	}, []string{"hub.example:8883", "TCP to port 8883"}},
	{"a hub of another CA", "tlsChain", &faultChainUnknown, func(d *device) { d.hub.TLS.RootCAs = x509.NewCertPool() }, []string{"--ca FILE"}},
	{"a hub of another name", "tlsChain", &faultChainName, func(d *device) { d.serveTLS("other.example", time.Now().Add(300*day)) }, []string{"other.example"}},
	{"a hub's certificate that ended", "tlsChain", &faultChainTime, func(d *device) { d.serveTLS("hub.example", time.Now().Add(-time.Hour)) }, []string{"clock"}},
	{"a clock before the hub's certificate", "tlsChain", &faultChainTime, func(d *device) {
		d.Now = func() time.Time { return time.Date(1970, 1, 1, 0, 0, 7, 0, time.UTC) }
	}, []string{"1970-01-01"}},
	{"a hub without TLS", "tlsChain", &faultChainTLS, func(d *device) {
		d.serve(func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 1024))
			_, _ = conn.Write([]byte("SSH-2.0-OpenSSH_9.2\r\n"))
		})
	}, []string{"hub.example:8883"}},
	{"a hub's certificate that ends", "tlsChain", &faultChainEnds, func(d *device) { d.serveTLS("hub.example", time.Now().Add(13*day+time.Hour)) }, []string{"in 13 days"}},
	{"a hub that refuses", "hubAnswer", &faultHub, func(d *device) { d.hub.Connection = func() (bool, error) { return false, errTest } }, []string{"no such luck"}},
	{"a hub that has not answered yet", "hubAnswer", &faultHub, func(d *device) { d.hub.Connection = func() (bool, error) { return false, nil } }, []string{"no answer yet"}},

	{"a broken lock", "lock", &faultLock, func(d *device) { d.status(DoorStatus{Fault: "set line: no such device"}) }, []string{"no such device"}},
	{"a jammed lock", "lock", &faultLockJammed, func(d *device) { d.status(DoorStatus{State: "jammed"}) }, nil},
	{"an alarm", "lock", &faultLockAlarm, func(d *device) { d.status(DoorStatus{State: "locked", Alarm: "forcedOpen"}) }, []string{"forcedOpen"}},
	{"no chip", "gpioChip", &faultChip, func(d *device) { d.Chips = func() ([]string, error) { return nil, nil } }, []string{"none", "udev"}},
	{"no chips can be listed", "gpioChip", &faultChip, func(d *device) { d.Chips = func() ([]string, error) { return nil, errTest } }, []string{"no such luck"}},
	{"no such line", "lineFree", &faultLineMissing, func(d *device) { d.line(Line{}, errTest) }, []string{"GPIO17"}},
	{"a line that another holds", "lineFree", &faultLineTaken, func(d *device) { d.line(Line{"pinctrl-bcm2711", 17, "w1"}, nil) }, []string{"held by w1", "stop w1"}},
	{"a line that nobody holds", "lineFree", &faultLineLost, func(d *device) { d.line(Line{"pinctrl-bcm2711", 17, ""}, nil) }, []string{"restart latchd"}},
	{"a contact that cannot be read", "inputs", &faultInput, func(d *device) {
		d.status(DoorStatus{State: "locked", Fault: "set line: busy; the contact cannot be read: gone"})
	}, []string{"contact", "gone", "door.contact.line"}},
	{"no line for a contact", "inputs", &faultInput, func(d *device) { d.line(Line{}, errTest) }, []string{"contact"}},
	{"a contact that another holds", "inputs", &faultInputTaken, func(d *device) { d.line(Line{"pinctrl-bcm2711", 27, "gpiomon"}, nil) }, []string{"GPIO27", "gpiomon"}},

	{"driven open", "bootDefault", &faultBootDriven, func(d *device) { d.config("gpio=17=op,dh") }, []string{"GPIO17", "high", "gpio=17=op,dl"}},
	{"driven open for this model", "bootDefault", &faultBootDriven, func(d *device) { d.config("[pi4]\ngpio=4,17-20=op,dh\n[pi3]\ngpio=17=op,dl") }, nil},
	{"driven open by default", "bootDefault", &faultBootDriven, func(d *device) {
		d.Door.LockedHigh = true
		d.config("gpio=17=op")
	}, []string{"low", "gpio=17=op,dh"}},
	{"pulled open", "bootDefault", &faultBootPull, func(d *device) { d.Door.LockedHigh = true }, []string{"pulled low", "gpio=17=op,dh into /boot/firmware/config.txt"}},
	{"pulled open by the firmware", "bootDefault", &faultBootPull, func(d *device) { d.config("gpio=17=ip,pu") }, []string{"pulled high"}},
	{"pulled open at first", "bootDefault", &faultBootEarly, func(d *device) {
		d.Door.LockedHigh = true
		d.config("gpio=17=op,dh")
	}, []string{"pulled low"}},
	{"not pulled", "bootDefault", &faultBootFloats, func(d *device) { d.config("gpio=0-27=np") }, []string{"gpio=17=op,dl"}},
	{"no release", "hardwareRelease", &faultRelease, func(d *device) { d.Door.FailSafe = true }, []string{"door.hardware_release = true"}},

	{"no right to reboot", "rebootRight", &faultReboot, func(d *device) { d.CanReboot = func(context.Context) error { return errTest } }, []string{"no such luck"}},
	{"an inhibitor", "inhibitors", &faultInhibited, func(d *device) {
		d.Inhibitors = func(context.Context) ([]string, error) { return []string{"apt (process 7): upgrade"}, nil }
	}, []string{"apt (process 7)"}},
	{"boots over and over", "bootLoop", &faultBootLoop, func(d *device) { d.Boots = func(time.Duration) int { return 5 } }, []string{"5 times"}},
	{"a new kernel", "rebootRequired", &faultRebootRequired, func(d *device) {
		d.write("run/reboot-required", "*** System restart required ***\n")
		d.write("run/reboot-required.pkgs", "linux-image-6.12\nlibc6\n")
	}, []string{"linux-image-6.12, libc6"}},
	{"no watchdog", "watchdog", &faultNoWatchdog, func(d *device) { d.remove("sys/class/watchdog") }, []string{"dtparam=watchdog=on"}},
	{"an idle watchdog", "watchdog", &faultWatchdogIdle, func(d *device) { d.write("sys/class/watchdog/watchdog0/state", "inactive\n") }, []string{"BCM2835"}},
	{"a watchdog that tells no state and that systemd does not feed", "watchdog", &faultWatchdogIdle, func(d *device) { d.remove("sys/class/watchdog/watchdog0/state") }, nil},

	{"a full disk", "diskSpace", &faultDiskFull, func(d *device) { d.space(Space{Free: 9 << 20, Total: 1 << 30}) }, []string{"9 of 1024 MB"}},
	{"no more files", "diskSpace", &faultDiskFull, func(d *device) { d.space(Space{Free: 1 << 30, Total: 2 << 30, FreeFiles: 99, TotalFiles: 1000}) }, []string{"99 of 1000 files"}},
	{"a disk that fills up", "diskSpace", &faultDiskLow, func(d *device) { d.space(Space{Free: 100 << 20, Total: 1 << 30}) }, []string{"100 of 1024 MB"}},
	{"a read-only disk", "diskWritable", &faultDiskReadOnly, func(d *device) { d.replace("proc/self/mounts", "rw,nosuid", "ro,nosuid") }, []string{"/var/lib/latchd"}},
	{"an ext4 that gave up", "diskWritable", &faultDiskReadOnly, func(d *device) { d.replace("proc/self/mounts", "rw,nosuid", "rw,emergency_ro") }, nil},
	{"errors on the disk", "diskHealth", &faultDiskErrors, func(d *device) { d.write("sys/fs/ext4/mmcblk0p2/errors_count", "3\n") }, []string{"mmcblk0p2", "3 errors"}},
	{"a worn-out disk", "diskHealth", &faultDiskWornOut, func(d *device) { d.write("sys/block/mmcblk0/device/life_time", "0x0b 0x01\n") }, []string{"mmcblk0"}},
	{"a disk without spare blocks", "diskHealth", &faultDiskWornOut, func(d *device) { d.write("sys/block/mmcblk0/device/pre_eol_info", "0x03\n") }, []string{"spare"}},
	{"a disk that wears", "diskHealth", &faultDiskWears, func(d *device) { d.write("sys/block/mmcblk0/device/life_time", "0x01 0x0A\n") }, []string{"100 %"}},
	{"a disk with few spare blocks", "diskHealth", &faultDiskWears, func(d *device) { d.write("sys/block/mmcblk0/device/pre_eol_info", "0x02\n") }, []string{"spare"}},
	{"a log in memory", "journalPersistence", &faultJournal, func(d *device) {
		d.write("usr/lib/systemd/journald.conf.d/40-rpi-volatile-storage.conf", "[Journal]\nStorage=volatile\n")
	}, []string{"Storage=volatile"}},
	{"no directory for the log", "journalPersistence", &faultJournal, func(d *device) { d.remove("var/log/journal") }, []string{"/var/log/journal"}},

	{"under-voltage", "underVoltage", &faultUnderVoltage, func(d *device) { d.throttled("50005\n") }, []string{"under-voltage now", "throttling has occurred"}},
	{"under-voltage on a mainline kernel", "underVoltage", &faultUnderVoltage, func(d *device) {
		d.remove("sys/devices")
		d.write("sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n")
	}, nil},
	{"under-voltage some time ago", "underVoltage", &faultWasUnderVoltage, func(d *device) { d.throttled("0x50000") }, []string{"under-voltage has occurred"}},
	{"throttling", "underVoltage", &faultThrottled, func(d *device) { d.throttled("80008\n") }, []string{"soft temperature limit"}},
	{"heat", "temperature", &faultHot, func(d *device) { d.write("sys/class/thermal/thermal_zone1/temp", "85001\n") }, []string{"85.0 °C"}},
	{"warmth", "temperature", &faultWarm, func(d *device) { d.write("sys/class/thermal/thermal_zone0/temp", "81000\n") }, []string{"81.0 °C"}},
	{"no memory", "memory", &faultMemoryOut, func(d *device) { d.replace("proc/meminfo", "3476180", "15000") }, []string{"15 of 3884 MB"}},
	{"little memory", "memory", &faultMemoryLow, func(d *device) { d.replace("proc/meminfo", "3476180", "47000") }, nil},
}

func TestFaults(t *testing.T) {
	for _, row := range made {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t)
			if r := d.look(row.check); !r.OK {
				t.Fatalf("without the fault: %+v", r)
			}
			row.spoil(d)
			r := d.look(row.check)
			if r.OK || r.Severity != row.fault.severity {
				t.Errorf("got %+v, want a fault of severity %s", r, row.fault.severity)
			}
			want, _, _ := strings.Cut(strings.ReplaceAll(row.fault.text, "%[1]s", "%s"), "%")
			if !strings.HasPrefix(r.Text, want) {
				t.Errorf("got the text %q, want one that begins with %q", r.Text, want)
			}
			for _, word := range row.words {
				if !strings.Contains(r.Text+" "+r.Remedy, word) {
					t.Errorf("neither text nor remedy has %q: %+v", word, r)
				}
			}
			if strings.Contains(r.Text+r.Remedy, "%!") {
				t.Errorf("an argument is missing: %+v", r)
			}
		})
	}
}

// A device without a fault has none, and one without anything has none but that
// its service does not run.
func TestNothingWrong(t *testing.T) {
	t.Parallel()
	d := newDevice(t)
	report, err := New(func() Facts { return d.Facts }).Run(t.Context(), nil)
	if err != nil || len(report.Checks) != len(checks) || report.Pending != nil {
		t.Fatalf("%d checks, pending %v, %v", len(report.Checks), report.Pending, err)
	}
	for _, r := range report.Checks {
		if !r.OK || r.Severity != Info || r.Text == "" || r.Remedy != "" {
			t.Errorf("%+v", r)
		}
		if strings.HasPrefix(r.Text, "does not apply") && r.ID != "hardwareRelease" {
			t.Errorf("%s does not apply: %s", r.ID, r.Text)
		}
	}
	report, _ = New(func() Facts { return Facts{Root: t.TempDir()} }).Run(t.Context(), nil)
	wrong := ""
	for _, r := range report.Checks {
		if !r.OK {
			wrong += r.ID + " "
		}
	}
	if wrong != "service zoneData watchdog " {
		t.Errorf("a machine with nothing has faults in %s", wrong)
	}
}

// What only looks like a fault.
func TestNoFault(t *testing.T) {
	for _, row := range []struct {
		name, check string
		spoil       func(d *device)
		word        string
	}{
		{"a service by hand", "service", func(d *device) { d.Service.Managed = false }, "by hand"},
		{"a named file that only root may look at", "configuration", func(d *device) {
			if os.Getuid() == 0 {
				d.Skip("root may look at everything")
			}
			d.chmod("etc/latchd", 0)
			d.Cleanup(func() { d.chmod("etc/latchd", 0o755) })
		}, "in order"},
		{"the group of the service", "configurationPermissions", func(d *device) { d.chmod("etc/latchd/device.connection", 0o640) }, "right owner"},
		{"a source installation", "packageIntegrity", func(d *device) { d.remove("var/lib/dpkg") }, "does not apply"},
		{"a certificate", "credentialsEnd", func(d *device) { d.certificateUntil(31 * day) }, "in 3"},
		{"a corroborated clock", "clock", func(d *device) { d.Clock = func() (string, time.Time) { return "corroborated", time.Time{} } }, "corroborated"},
		{"an address for a name", "dns", func(d *device) { d.hub.Host = "2001:db8::7" }, "needs no name server"},
		{"a port that is closed is told once", "tlsChain", func(d *device) {
			d.hub.dial = func(context.Context, string, string) (net.Conn, error) { return nil, errTest }
		}, "does not apply"},
		{"no chip is told once", "lineFree", func(d *device) { d.Chips = func() ([]string, error) { return nil, errTest } }, "does not apply"},
		{"a line that is not there has a check of its own", "gpioChip", func(d *device) { d.line(Line{}, errTest) }, "raspberrypi-exp-gpio"},
		{"a name without an address is told once", "port8883", func(d *device) {
			d.hub.dial = func(context.Context, string, string) (net.Conn, error) {
				return nil, &net.DNSError{Err: "no such host"}
			}
		}, "the check dns"},
		{"no state directory while the service does not run", "stateDirectory", func(d *device) {
			d.Service.Asked = false
			d.remove("var/lib/latchd")
		}, "makes it when it starts"},
		{"a free line while the service does not run", "lineFree", func(d *device) {
			d.Service.Asked = false
			d.line(Line{"pinctrl-bcm2711", 17, ""}, nil)
		}, "free for the service"},
		{"a chip nobody knows", "bootDefault", func(d *device) { d.line(Line{"gpio-pca953x", 3, ""}, nil) }, "resistor"},
		{"locked by the firmware", "bootDefault", func(d *device) { d.config("[none]\ngpio=17=op,dh\n[all]\ngpio=17=op,dl # locked") }, "driven low"},
		{"settings for another model", "bootDefault", func(d *device) { d.config("[pi3]\ngpio=17=op,dh\n[gpio4=1]\ngpio=17=op,dh") }, "pulled low"},
		{"a commented setting", "bootDefault", func(d *device) { d.config("#gpio=17=op,dh") }, "pulled low"},
		{"the old place of the configuration", "bootDefault", func(d *device) {
			d.remove("boot/firmware")
			d.write("boot/config.txt", "gpio=17=op,dl\n")
		}, "/boot/config.txt"},
		{"a confirmed release", "hardwareRelease", func(d *device) { d.Door.FailSafe, d.Door.HardwareRelease = true, true }, "confirmed"},
		{"a watchdog that systemd feeds", "watchdog", func(d *device) {
			d.remove("sys/class/watchdog/watchdog0/state")
			d.RuntimeWatchdog = func(context.Context) (time.Duration, error) { return 15 * time.Second, nil }
		}, "15s"},
		{"a card that tells no wear", "diskHealth", func(d *device) { d.remove("sys/block") }, "no disk tells its wear"},
		{"a file system without a limit of files", "diskSpace", func(d *device) { d.space(Space{Free: 1 << 30, Total: 1 << 30}) }, "1024"},
		{"a read-only place elsewhere", "diskWritable", func(d *device) { d.replace("proc/self/mounts", "vfat rw", "vfat ro") }, "/var/lib/latchd"},
		{"a log that is told to be kept", "journalPersistence", func(d *device) {
			d.remove("var/log/journal")
			d.write("etc/systemd/journald.conf", "[Journal]\n#Storage=none\nStorage=persistent\n")
		}, "persistent"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			d := newDevice(t)
			row.spoil(d)
			if r := d.look(row.check); !r.OK || !strings.Contains(r.Text, row.word) {
				t.Errorf("got %+v, want it fine with %q", r, row.word)
			}
		})
	}
}

// needOwnGroup skips where files cannot belong to a group that is not root's.
func (d *device) needOwnGroup() {
	d.own()
	if d.GID == 0 {
		if err := os.Lchown(d.Root+"/etc/latchd/device.connection", -1, 12345); err != nil {
			d.Skip("files cannot be given away: ", err)
		}
	}
}

// chown gives a file to somebody else, or makes the service somebody else.
func (d *device) chown(name string) {
	d.own()
	if os.Getuid() != 0 {
		d.UID++
		return
	}
	if err := os.Lchown(d.Root+"/"+name, 12345, -1); err != nil {
		d.Skip("files cannot be given away: ", err)
	}
}

func (d *device) certificateUntil(left time.Duration) {
	d.Credentials = func() (Credentials, error) { return Credentials{X509: true, End: time.Now().Add(left)}, nil }
}

func (d *device) status(s DoorStatus)    { d.Door.Status = func() DoorStatus { return s } }
func (d *device) line(l Line, err error) { d.Line = func(string) (Line, error) { return l, err } }
func (d *device) space(s Space)          { d.Space = func(string) (Space, error) { return s, nil } }
func (d *device) config(lines string)    { d.Helper(); d.write("boot/firmware/config.txt", lines+"\n") }

func (d *device) throttled(bits string) {
	d.Helper()
	d.write("sys/devices/platform/soc/soc:firmware/get_throttled", bits)
}
