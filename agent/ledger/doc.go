// Package ledger is the agent's memory: what it was told to do and what came
// of it, on disk, so that a power cut at any moment neither forgets a command
// nor lets one happen twice.
//
// It holds two things. [Commands] remembers each command that carried an id:
// it is recorded before the agent acts and its answer is recorded after, so
// that a repeat gets the stored answer and moves nothing. [Operations]
// remembers operations that take time (a reboot, now or later), the receipts
// of those that ended, and which boot the device was last seen in.
//
// Invariants:
//   - What a method here reports as recorded is synced to the disk.
//   - A disk that fails or is full stops no caller: what it did not take is
//     refused or told, and written later if it is still true then.
//   - Files carry a format version. One that is newer than this program, or
//     damaged, is set aside under another name and never deleted.
//   - Wall-clock times in it decide nothing about order; order is the order of
//     writing. Ages count only where the caller says that the clock is trusted.
//
// The package decides nothing: when a command is too old, whether a reboot may
// start and what a boot proves is the agent's business.
package ledger
