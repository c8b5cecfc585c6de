// Package arch holds no program, only tests that keep the shape of this one.
//
// What they enforce is cheap to keep and dear to win back: which room may import which (imports_test.go, the
// table there is the map of the house), that every package explains itself and stays readable (readable_test.go),
// that the agent stays small enough for the smallest Raspberry Pi and never starts another process
// (agent_test.go), and that no file knows the machine it was written on (portable_test.go).
//
// Source is parsed, for all platforms at once, rather than listed for the one at hand, so that a rule broken in
// a file for another system is found too. When a test here fails, the answer is nearly always to move code, not
// to widen the rule; where the rule itself is wrong, it is changed here, in a commit of its own that says why.
package arch
