// Package soak does the same few dangerous things to a whole site again and
// again, at random moments, and looks each time whether every promise was kept.
// There are three of them:
//
//   - reboots in a row, with the answer held back on its way to the hub, and
//     commands repeated while the machine goes down and comes back;
//   - kill -9 of an agent in the middle of a command;
//   - kill -9 of the hub while several clients write to it.
//
// The tests hold no code of the product beyond the words of the wire. What is
// right they derive from the device's public interface: model_test.go is a lock
// as that describes it, and a kill in the middle of a command leaves it in one
// of the outcomes that are listed there, and in no other.
//
// A plain "go test" does a few rounds of each. With LATCHD_SOAK=2 or more in
// the environment the rounds are the full ones, and the figures are printed as
// a table. LATCHD_SOAK_SEED repeats the choices of an earlier run: the commands
// and the moments as shares of how long a command usually takes. What the
// machine makes of a moment it cannot repeat, so a failure may need some tries.
package soak
