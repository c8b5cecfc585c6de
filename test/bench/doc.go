// Package bench measures the agent beside the official Node device SDK and
// beside a bare MQTT client, in one run on one hub, and prints one table:
// `make bench`.
//
// What is timed is what an operator feels: from the request to the hub's REST
// API, over a TLS connection that stays open, to the last byte of the device's
// answer. So the hub and the operator's client are in every figure, the same
// for all. All contestants answer the same direct method with an answer of the
// same size; the agent makes its own each time from its live state, the Node
// device encodes one that it read at its start, and the bare client copies it,
// which is the least that any device can do.
//
// A round starts all contestants, warms them up, calls them in turn, a twentieth
// of the calls at a time, and stops them. One at a time is called; the others
// are connected and idle. Each turn begins with another one. So whatever else
// the machine does meets all of them alike. Of each figure the median of the
// rounds is given with the lowest and the highest, and comparisons are made
// round by round.
//
// It is no test: it proves nothing about correctness, it is not part of
// `make test`, and a goal that is missed is printed, not failed.
package bench
