// Package fleet is one hub, one operator and very many devices: the hub and
// latchctl are the programs as they are built, each device is the real agent on
// the real client, all of them in the test's process, on machines that are only
// a clock.
//
// It shows what an operator can do to a thousand devices at once, and how they
// learn which of them did not go along. It is no measure of speed.
package fleet
