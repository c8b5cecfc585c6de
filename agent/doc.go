// Package agent is what happens between the hub and the hardware. It answers
// direct methods, keeps the device twin true, and owns the operations that
// take time.
//
// A command comes in through [Agent.Serve]. Its payload is decoded by one set
// of rules, its id (if it has one) is recorded in the ledger before anything
// moves, then the door or the machine acts, then the answer is recorded and
// sent. Lock commands run one at a time, in order of arrival. A reboot is an
// operation: it walks through phases, each on disk before its act, and only
// another boot id proves that it happened.
//
// What is true flows back the same way: the agent says what the reported
// section shall hold, and the hub's client sends the difference. Desired
// properties are acknowledged with value, code and version; those accepted
// are kept on disk and hold without a network.
//
// What happens is told too, by events: the lock hands them over with
// [Agent.DoorHappened], the outbox numbers and keeps them, and they go out when
// they are on disk.
//
// The hub, the door, the machine and the clock are small interfaces declared
// here ([Hub], [Door], [Machine], [Clock]). The package starts no process,
// opens no connection and touches no hardware.
package agent
