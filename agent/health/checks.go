package health

import "context"

// Check is one thing that is looked at.
type Check struct {
	ID     string   // public interface
	Looks  string   // at what, for the table in docs/device.md
	faults []*fault // what it may find
	look   func(context.Context, *Facts) finding
}

// IDs are the ids of all checks, in the order in which they are reported.
func IDs() []string {
	ids := make([]string, len(checks))
	for i, c := range checks {
		ids[i] = c.ID
	}
	return ids
}

// checks are all there are, from the service outwards: what it is told, its hub,
// its door, its machine.
var checks = []Check{
	{"service", "the service runs under systemd, and systemd keeps the lock's line for it", []*fault{&faultServiceDown, &faultLineNotKept}, checkService},
	{"configuration", "the configuration can be read, and the files that it names exist", []*fault{&faultConfigurationWrong, &faultConfigurationInUse, &faultNamedFile}, checkConfiguration},
	{"configurationPermissions", "nobody but the service can read secrets, or change what the service reads", []*fault{&faultSecretReadable, &faultWritable, &faultOwner}, checkPermissions},
	{"stateDirectory", "the state directory is there, is the service's own, and takes what is written", []*fault{&faultStateMissing, &faultStateForeign, &faultStateOpen, &faultStateLock, &faultStateUnsaved}, checkStateDirectory},
	{"packageIntegrity", "the installed files of the package are as they were packed", []*fault{&faultPackageFiles}, checkPackage},
	{"credentials", "the device has credentials, and they can be used", []*fault{&faultCredentials}, checkCredentials},
	{"credentialsEnd", "the device's certificate is good for 30 days more; a key has no end", []*fault{&faultCertificateOver, &faultCertificateEnds}, checkCredentialsEnd},
	{"clock", "the clock can be trusted", []*fault{&faultClock}, checkClock},
	{"zoneData", "there is a time zone database, and which", []*fault{&faultZoneData}, checkZoneData},
	{"dns", "the hub's name has an address", []*fault{&faultName, &faultNameServer}, checkDNS},
	{"port8883", "the hub's port for MQTT over TLS can be connected to", []*fault{&faultPort}, checkPort},
	{"tlsChain", "the hub's certificate is trusted, is the hub's, and is good for 14 days more", []*fault{&faultChainUnknown, &faultChainName, &faultChainTime, &faultChainTLS, &faultChainEnds}, checkTLS},
	{"hubAnswer", "the hub takes the device in", []*fault{&faultHub}, checkHub},
	{"lock", "the lock does what it is told", []*fault{&faultLock, &faultLockJammed, &faultLockAlarm}, checkLock},
	{"gpioChip", "there is a GPIO chip, and which has the lock's line", []*fault{&faultChip}, checkChip},
	{"lineFree", "the lock's line is there, the service's and nobody else's", []*fault{&faultLineMissing, &faultLineTaken, &faultLineLost}, checkLine},
	{"inputs", "contact, bolt and button can be read", []*fault{&faultInput, &faultInputTaken}, checkInputs},
	{"bootDefault", "the level of the lock's line between power-on and the start of the service locks the door", []*fault{&faultBootDriven, &faultBootPull, &faultBootEarly, &faultBootFloats}, checkBootDefault},
	{"hardwareRelease", "a fail-safe lock has a hardware release in series with it", []*fault{&faultRelease}, checkRelease},
	{"rebootRight", "the service may reboot the machine", []*fault{&faultReboot}, checkReboot},
	{"inhibitors", "no program forbids a reboot now", []*fault{&faultInhibited}, checkInhibitors},
	{"bootLoop", "the machine does not boot over and over", []*fault{&faultBootLoop}, checkBootLoop},
	{"rebootRequired", "the operating system does not wait for a reboot", []*fault{&faultRebootRequired}, checkRebootRequired},
	{"watchdog", "there is a hardware watchdog, and systemd feeds it", []*fault{&faultNoWatchdog, &faultWatchdogIdle}, checkWatchdog},
	{"diskSpace", "there is room on the disk, for bytes and for files", []*fault{&faultDiskFull, &faultDiskLow}, checkDiskSpace},
	{"diskWritable", "the disk has not turned read-only", []*fault{&faultDiskReadOnly}, checkDiskWritable},
	{"diskHealth", "the file systems count no errors, and a flash disk that tells its wear is not worn out", []*fault{&faultDiskErrors, &faultDiskWornOut, &faultDiskWears}, checkDiskHealth},
	{"journalPersistence", "the log outlives a reboot", []*fault{&faultJournal}, checkJournal},
	{"underVoltage", "the power supply is strong enough", []*fault{&faultUnderVoltage, &faultWasUnderVoltage, &faultThrottled}, checkVoltage},
	{"temperature", "the processor is not too hot", []*fault{&faultHot, &faultWarm}, checkTemperature},
	{"memory", "there is memory left", []*fault{&faultMemoryOut, &faultMemoryLow}, checkMemory},
}
