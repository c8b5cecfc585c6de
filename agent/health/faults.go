package health

// fault is something that can be wrong.
type fault struct {
	severity Severity
	text     string // what is wrong, with fmt's verbs for what was seen
	remedy   string // what a person can do; %[n]s stands for the text's n-th argument
}

// All that the checks may find wrong. Text and remedy are for a person who has
// the device in front of them and has not read the manual; neither ever holds a
// secret.
var (
	faultCheckPanics = fault{Error, "the check %s failed itself: %v", "this is a defect of latchd: please report it with this text"}

	faultPending = fault{
		Error, "the check %s did not come back within %s",
		"what it looks at hangs: a disk that fails, or D-Bus; look again in a minute, and restart the machine if it stays so",
	}

	// The service.

	faultServiceDown = fault{
		Error, "the service latchd does not run here: %s; what only it can tell was not looked at",
		"start it: sudo systemctl start latchd; systemctl status latchd and journalctl -u latchd say why it does not run",
	}
	faultLineNotKept = fault{
		Warning, "systemd does not keep the lock's line for the service: a restart or a crash moves the line",
		"see that FileDescriptorStoreMax=4 is in the unit (systemctl cat latchd), then restart the service while the door may move",
	}

	// The configuration and the files of the service.

	faultConfigurationWrong = fault{
		Error, "the configuration cannot be used: %s; the door keeps its last good settings",
		"correct it, check it with latchd --check-config, then: sudo systemctl restart latchd",
	}
	faultConfigurationInUse = fault{
		Error, "the service does not go by its configuration: %s",
		"the file can be read now; have it read anew: sudo systemctl restart latchd",
	}
	faultNamedFile = fault{
		Error, "the configuration names a file that cannot be found: %s is %s: %s",
		"put the file there, or correct %[1]s in the configuration",
	}
	faultSecretReadable = fault{
		Error, "%s holds a secret, and others can read it (mode %04o)",
		"sudo chmod go= %[1]s, and give the device a new key if others have an account here",
	}
	faultWritable = fault{
		Error, "%s can be changed by others (mode %04o), so that they can decide what the door does",
		"sudo chmod go-w %[1]s, and see that what is in it is yours",
	}
	faultOwner = fault{
		Error, "%s belongs to user %d, who can change what the service reads",
		"sudo chown root %[1]s, and see that what is in it is yours",
	}
	faultStateMissing = fault{
		Error, "there is no state directory %s: %s; commands and receipts are forgotten at a restart",
		"set StateDirectory=latchd in the unit, or make the directory for the service's user with mode 0700",
	}
	faultStateForeign = fault{
		Error, "the state directory %s belongs to user %d, and the service is user %d",
		"sudo chown -R latchd:latchd %[1]s",
	}
	faultStateOpen = fault{
		Warning, "the state directory %s is open to others (mode %04o)",
		"sudo chmod 0700 %[1]s",
	}
	faultStateLock = fault{
		Error, "the state directory %s cannot be locked: %s; nothing keeps a second latchd from it",
		"put it on a local file system such as ext4",
	}
	faultStateUnsaved = fault{
		Error, "the state could not be written: %s",
		"see the checks diskSpace, diskWritable and diskHealth; the service writes again by itself when the disk takes it",
	}
	faultPackageFiles = fault{
		Error, "files of the package are not as they were packed: %s",
		"sudo apt install --reinstall latchd; if they change again, the card is failing",
	}

	// The device's hub.

	faultCredentials = fault{
		Error, "the device has no credentials that can be used: %s",
		"sudo latchd configure",
	}
	faultCertificateOver = fault{
		Error, "the device's certificate ended at %s",
		"get a new certificate, register it at the hub, then: sudo latchd configure",
	}
	faultCertificateEnds = fault{
		Warning, "the device's certificate ends at %s, in %d days",
		"get a new certificate, register it at the hub, then: sudo latchd configure",
	}
	faultClock = fault{
		Error, "the clock cannot be trusted: its state is %s and it says %s; what depends on the time waits",
		"let the device reach a time server (timedatectl timesync-status shows which), or name the site's own in /etc/systemd/timesyncd.conf; a battery for the clock helps at the next start",
	}
	faultZoneData = fault{
		Warning, "the system has no time zone database: the copy in the agent counts, which grows old",
		"sudo apt install tzdata",
	}
	faultName = fault{
		Error, "the name %s has no address: %s",
		"see that the connection string names the right hub, and that the hub still exists",
	}
	faultNameServer = fault{
		Error, "no name server said what the address of %s is: %s",
		"see that the network is up and that /etc/resolv.conf names a name server that answers",
	}
	faultPort = fault{
		Error, "%[1]s cannot be connected to: %s",
		"let TCP to port %[3]s of the hub out through the firewall",
	}
	faultChainUnknown = fault{
		Error, "the certificate of %s is not signed by anybody the device trusts: %s",
		"for a site's own hub, name its CA with sudo latchd configure --ca FILE; for Azure see that ca-certificates is installed, and that no proxy opens TLS on the way",
	}
	faultChainName = fault{
		Error, "the certificate of %s is for another name: %s",
		"use the name in the certificate as HostName of the connection string, or give the hub a certificate for this one",
	}
	faultChainTime = fault{
		Error, "the certificate of %s is not valid at %s, which is what the device takes for now: %s",
		"see the check clock first; if the clock is right, the hub needs a new certificate",
	}
	faultChainTLS = fault{
		Error, "%s does not speak TLS as it should: %s",
		"see that the port is the hub's, and that nothing on the way opens or breaks TLS",
	}
	faultChainEnds = fault{
		Warning, "the certificate of %s ends at %s, in %d days",
		"renew the hub's certificate; Azure does that by itself",
	}
	faultHub = fault{
		Error, "the device is not connected to %s: %s",
		"see the checks dns, port8883, tlsChain, credentials and clock, in this order; if they are fine, see that the device is enabled at the hub",
	}

	// The door.

	faultLock = fault{
		Error, "the lock does not work: %s",
		"see the checks gpioChip and lineFree, then the wiring; sudo latchd door status shows it live",
	}
	faultLockJammed = fault{
		Error, "the lock was told to move and its sensor says that it did not",
		"see whether the bolt is free, then the sensor and its wiring",
	}
	faultLockAlarm = fault{
		Warning, "the door's alarm is %s",
		"go and see the door: forcedOpen and heldOpen end when it is closed, buttonStuck when the button or its wire is free",
	}
	faultChip = fault{
		Error, "no GPIO chip can be found: %s",
		"see that there is one and that the service's user may open it (ls -l /dev/gpiochip*; the package's udev rule gives it to the group latchd)",
	}
	faultLineMissing = fault{
		Error, "the lock's line %s cannot be found: %s",
		"correct door.line in the configuration; gpioinfo lists the lines",
	}
	faultLineTaken = fault{
		Error, "the lock's line %s is held by %s, not by latchd",
		"stop %[2]s or free the line from it; for a line that the device tree gave to a driver, remove its dtoverlay= from config.txt",
	}
	faultLineLost = fault{
		Error, "the service does not hold the lock's line %s, so nothing drives the lock",
		"sudo systemctl restart latchd; journalctl -u latchd says why it did not get the line",
	}
	faultInput = fault{
		Error, "the %s cannot be read: %s",
		"correct door.%[1]s.line in the configuration, and see the wiring; until then the door does without it",
	}
	faultInputTaken = fault{
		Error, "the line %s of the %s is held by %s, not by latchd",
		"stop %[3]s or free the line from it",
	}
	faultBootDriven = fault{
		Error, "the boot firmware drives the lock's line %[1]s, by gpio= in %s, and %s unlocks: the door is open from power-on until the service starts",
		"write gpio=%[4]d=op,%[5]s there instead",
	}
	faultBootPull = fault{
		Warning, "between power-on and the start of the service the lock's line %[1]s is pulled %s by the processor, which unlocks; a stronger resistor on the board cannot be seen from here",
		"write gpio=%[3]d=op,%[4]s into %[5]s, and fit a resistor towards the locked level",
	}
	faultBootEarly = fault{
		Warning, "the boot firmware locks by gpio= in %s, but in the first seconds after power-on, before it reads that, the lock's line %s is pulled %s by the processor, which unlocks",
		"fit a resistor towards the locked level, or use one of the lines whose pull at power-on locks (GPIO0 to 8 are pulled up, GPIO9 to 27 down)",
	}
	faultBootFloats = fault{
		Warning, "the boot firmware switches the pull of the lock's line %[1]s off, by gpio= in %s: without a resistor on the board the door may be open until the service starts",
		"fit a resistor towards the locked level, or write gpio=%[3]d=op,%[4]s there instead",
	}
	faultRelease = fault{
		Warning, "the lock is fail-safe, and nobody has confirmed that a hardware release is in series with it: software is never the fire release",
		"wire a release (fire alarm contact, green break glass) in series with the lock's supply, then set door.hardware_release = true in the configuration",
	}

	// The machine.

	faultReboot         = fault{Error, "the service may not reboot this machine: %s", "the text names who or what forbids it and how to mend that"}
	faultInhibited      = fault{Warning, "a reboot is forbidden now by %s", "end that program or wait for it; systemd-inhibit --list shows it"}
	faultBootLoop       = fault{Error, "the machine booted %d times within 15 minutes, and nobody asked for it", "see lastReboot.cause in the twin or in getStatus for why, and the checks underVoltage and watchdog"}
	faultRebootRequired = fault{Info, "the operating system asks for a reboot%s", "rebootDevice at a time that suits"}
	faultNoWatchdog     = fault{Warning, "there is no hardware watchdog: a machine that hangs stays as it is", "add dtparam=watchdog=on to config.txt on a Raspberry Pi, or load the board's driver"}
	faultWatchdogIdle   = fault{
		Warning, "nobody feeds the hardware watchdog %s, so it does not run: a machine that hangs stays as it is",
		"set RuntimeWatchdogSec=15 in /etc/systemd/system.conf.d/ (the package has a drop-in for it), then reboot",
	}
	faultDiskFull = fault{
		Error, "there is no room where %s is: %s",
		"make room: sudo apt clean, sudo journalctl --vacuum-size=50M; the lock works meanwhile, other commands with an id are refused",
	}
	faultDiskLow = fault{
		Warning, "there is little room where %s is: %s",
		"make room: sudo apt clean, sudo journalctl --vacuum-size=50M",
	}
	faultDiskReadOnly = fault{
		Error, "the file system at %[1]s is read-only",
		"a card that wears out turns read-only: copy what is on it and replace it; for one that was mounted so on purpose put %[2]s elsewhere",
	}
	faultDiskErrors = fault{
		Error, "the file system on %s has counted %d errors",
		"have it checked at the next boot (fsck.mode=force in cmdline.txt); replace the card if they come again",
	}
	faultDiskWornOut = fault{
		Error, "the flash disk %s says that it is worn out (%s)",
		"replace it now: it may turn read-only at any time",
	}
	faultDiskWears = fault{
		Warning, "the flash disk %s says that it wears out (%s)",
		"plan to replace it",
	}
	faultJournal = fault{
		Info, "the log is kept in memory only (%s): what led to a reboot or a power cut cannot be read afterwards",
		"sudo mkdir -p /etc/systemd/journald.conf.d; put [Journal] and Storage=persistent into a file there that ends in .conf, then: sudo systemctl restart systemd-journald",
	}
	faultUnderVoltage = fault{
		Error, "the supply voltage is too low now (%s): the lock may fail, and the card may be damaged",
		"use the supply for this model and a short thick cable, and feed the lock from its own supply",
	}
	faultWasUnderVoltage = fault{
		Warning, "the supply voltage was too low since boot (%s)",
		"use the supply for this model and a short thick cable; if it happens when the lock moves, feed the lock from its own supply",
	}
	faultThrottled = fault{
		Warning, "the processor is or was slowed down since boot (%s)",
		"cool it: out of the sun, with room around it, with a heat sink",
	}
	faultHot = fault{
		Error, "the processor has %.1f °C: the machine slows down and may stop",
		"cool it now: out of the sun, with room around it, with a heat sink or a fan",
	}
	faultWarm = fault{
		Warning, "the processor has %.1f °C, at which it is slowed down",
		"cool it: out of the sun, with room around it, with a heat sink",
	}
	faultMemoryOut = fault{
		Error, "there is hardly any memory left: %d of %d MB",
		"see with top who takes it; the kernel ends programs when there is none",
	}
	faultMemoryLow = fault{
		Warning, "there is little memory left: %d of %d MB",
		"see with top who takes it",
	}
)
