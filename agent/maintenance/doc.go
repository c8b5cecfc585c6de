// Package maintenance says when a device may do what disturbs people.
//
// A policy has windows, which open by the civil time of a zone ("on Sundays at
// 02:30 in Berlin, for two hours"), and exclusions, which are dates on which
// nothing opens. Parse makes a Policy of the desired property; after that all is
// a pure function of a time that the caller gives: At, Next, Between and Slot.
// There is no clock here and no state, so the device, the operator's preview and
// the tests get the same answers. Whether the clock of a device can be believed is
// for its agent to know.
//
// # From civil time to instants
//
// A civil time is not an instant. On the night when clocks go forward some do not
// exist, and when they go back some exist twice. Adding hours to midnight is wrong
// on both nights, and time.Date says of neither that there is a choice. Here a
// window opens at the first instant at which the civil time of the zone has
// reached its start:
//
//   - a start that exists twice opens once, the first time;
//   - a start that is skipped opens in the instant of the change, and so does one
//     on a date that is skipped as a whole (30 December 2011 in Samoa).
//
// From there it is open for its duration, in absolute time: a window of two hours
// is two hours long on every night. Weekday and date of a window are those of its
// start.
//
// # What always holds
//
// An opening is a half-open interval, and windows that touch or overlap are one.
// Nothing is open at an instant whose date in the zone is excluded. An opening
// begins only at the start of a window: one that starts on an excluded date does
// not open at all, and one that runs into an excluded date ends there and does
// not go on after it. Without windows the device is open except on excluded
// dates. A policy with an empty list of windows never opens.
//
// Every search is bounded, so that a device does not pay for a strange policy: 366
// days ahead for something that opens, 31 for the end of windows that touch again
// and again.
package maintenance
