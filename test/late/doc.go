// Package late shows what becomes of a command and of a twin when the
// connection, the hub or the device fails at one exact moment of the
// conversation.
//
// A proxy stands between a real agent and a real hub. It ends TLS on both
// sides, so it sees the MQTT packets: a test has it stop before a certain one,
// does its damage there, and lets the rest go on or not. The damage is of
// three kinds. Cut: TCP ends, in order or by a reset, on one side or on both.
// Lost: a filter in the kernel drops the packets of one direction or of both
// before TCP sees them, so that nothing is acknowledged and the sender sends
// again, as on a radio link that fades; it can come back. Stopped: the process
// of the hub or of the device is frozen, killed or restarted.
//
// The tables in the tests say for each moment and each damage what the operator
// is told and whether the door moves. Besides that each cell demands that
// nothing moves after the operator was told that it did not, that nothing is
// sent, done or answered twice, that a repeat with the same commandId tells the
// truth, and that the device is there again by itself.
//
// `go test` runs a part of the tables. With LATCHD_SOAK=2 (or more) in the
// environment it runs them whole, which takes minutes.
//
// What the proxy cannot show: a middle box that acknowledges packets and hands
// them on seconds later is not told apart from a device that takes its time. A
// command that must not come late through one of those needs notAfter.
package late
