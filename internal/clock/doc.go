// Package clock answers one question: is the wall clock to be believed?
//
// A Raspberry Pi has no battery for its clock. It boots with the time that was
// saved when it went down, or with 1970, and nothing in the number says so. A
// device that opens maintenance windows, signs tokens and dates its receipts has
// to know the difference.
//
// # Model
//
// On Linux the wall clock is the boot-time clock plus an offset. Slewing (adjtime,
// NTP's fine corrections) moves both, and suspend is counted by both: the offset
// changes only when somebody steps the clock. So the question is asked of an
// offset, and asked again at each step.
//
// A [Clock] keeps a base, one moment by both clocks, of which it is certain that
// the true time is not earlier. At the start that is the floor: the time of the
// build, or the time saved in a file by an earlier run, whichever is later. Once
// somebody vouches for a time, that is the base, and from there on the clock runs
// on the boot-time clock alone: a system clock that is set wrong by hand moves
// nothing here.
//
//	unset         the system clock is earlier than the floor, so it is wrong;
//	              the time given is the floor, and what has passed since
//	restored      nobody vouches for the system clock. The time given is the
//	              system clock's, never earlier than the floor; or, when somebody
//	              vouched before and the system clock has since been set away from
//	              that, the time that was vouched for
//	synchronized  NTP vouches for the system clock
//	corroborated  two Date headers of the hub agree, over TLS with a verified
//	              certificate: for sites that block NTP
//
// The last two are trusted.
//
// Who vouches:
//
//   - NTP: the property NTPSynchronized of systemd's timedate1, which is the
//     kernel's own flag and so also speaks for chrony and ntpd. (Asking the kernel
//     itself, adjtimex, is forbidden in the service's sandbox.) Where timedate1
//     cannot be asked, the marker that systemd-timesyncd touches at each
//     synchronization counts, if it was touched after the last step.
//     timedated is started by the question and leaves when idle, so it is asked
//     when there is reason to: at the start, when the marker is touched, at a step,
//     and else after growing pauses. Answered yes, it is asked about daily.
//   - The hub: two answers over HTTPS whose Date headers agree to 5 s, by the time
//     that passed between them. Where the system clock agrees as well it is
//     believed, being the finer one; else the time runs on the headers' offset
//     and stays right although the system clock is wrong: a service without
//     capabilities cannot set it.
//
// A step that NTP made is vouched for within milliseconds, because the kernel's flag
// falls at any other. A step of more than 3 s for which nobody vouches puts the clock in
// doubt: it is restored, the time given stays with the base, and NTP and the hub
// are asked. When the system clock comes back to the base, the doubt is over.
// Silence is no step: trust stays while NTP and hub are away, for a crystal
// drifts by seconds a day and a device that is offline must keep its windows. A
// base that is a day old is renewed when somebody can.
//
// # Invariants
//
//   - Nobody is believed who says that it is earlier than the build.
//   - A trusted time goes back by an announced correction of more than 10 s alone
//     ([Config.OnChange]); a smaller one is held until time has caught up. So
//     whoever dated something before a great correction has to look at it again: it
//     may lie in the future now.
//   - The saved time is never later than the trusted time was. A trusted time
//     before it (after a time server that lied) wins, and is saved over it.
//   - Now, State and the like only take a lock that is held for moments: no disk,
//     no bus and no network is behind it.
//   - Nothing is written to the disk while nothing happens: the time is saved when
//     trust is reached, and by [Clock.Save].
//
// Certificates are verified at the time that is known, see [Clock.TLS].
//
// # What it is not
//
// It sets no clock, speaks no NTP, and measures nothing finer than a second.
package clock
