// Package outbox keeps events until the hub has them: on disk, in order, each
// with a number of its own.
//
// An event that happens is added with [Outbox.Add], which waits for nothing.
// [Outbox.Run] gathers what came in a burst, numbers it, appends it to a
// journal and syncs that once for all of it. Only then may an event be
// delivered, and when the hub has acknowledged it, it is forgotten.
//
// Invariants:
//   - An event is delivered only after it is synced. So its number ([Entry].Seq)
//     is never given to another event, whatever is lost in a power cut: what was
//     not synced, nobody has seen.
//   - Every event is delivered at least once, in the order of its number. Word of
//     what the hub has is not synced for itself, so that a power cut may repeat
//     events, with the numbers that they had.
//   - Numbers run without a gap, except where events were lost; then a [Lost] mark
//     among the events says of which numbers.
//   - What waits is bounded, on disk and in memory. The oldest gives way.
//   - Nothing is written while nothing happens.
//
// A disk that takes nothing (full, read-only, hanging) holds up nobody. Events
// then wait in memory and are not delivered, because a number that is not on
// disk would be given away again by the next start. Those in memory are bounded
// too; when the disk is back, a mark says how many were lost. What was in memory
// when the power went is lost without a mark: it never had a number.
//
// Numbers are reserved ahead in a file of their own. A journal that is damaged or
// gone therefore does not make numbers begin anew; they go on behind the
// reservation, with a mark over what may be missing.
//
// The package knows nothing of hubs and of what events mean.
package outbox
