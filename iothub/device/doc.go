// Package device keeps one device on its hub: over MQTT 3.1.1 and TLS, for as
// long as it is told to, whatever the network does.
//
// # Model
//
// A [Client] runs one session after another ([Client.Run]). A session is one
// MQTT connection with a client of its own, from CONNECT to its end, and
// nothing outlives it: no queue, no subscription that is believed to be there,
// no message on its way. What has to outlive it is the user's: events in an
// outbox, commands in a ledger. When a session ends for any reason, the next
// is tried after a pause with full jitter (one second doubling to five
// minutes, more for errors that do not pass by themselves), for ever.
//
// Each session subscribes, asks for the whole twin, and only then is up. From
// there on desired properties come as patches, each exactly one version above
// the last; a missing one makes the session ask for the twin again. Reported
// properties go the other way as the difference between what the user wants
// there ([Client.Report]) and what the hub is known to hold, one patch at a
// time. After each reconnect what the hub holds is read anew, so a patch that
// was lost, or applied though its answer was lost, needs no memory.
//
// Direct methods are served as soon as the subscription stands, before the
// twin: an operator in front of a door should not wait for properties. A
// command must not move the door twice, though, and must not move it late:
//
//   - Everything is subscribed at QoS 0, so that a hub has no reason to keep a
//     request for a session that is away. The hub answers the caller with an
//     error then, and the caller decides.
//   - A request with the DUP flag, or with a request id that was seen in this
//     session, is dropped. So is one above QoS 0 that arrives before the
//     subscription: it may have waited in the session for days. When the
//     process itself stood still for seconds, the session ends and what
//     arrived meanwhile goes with it.
//   - A request is run once and answered once. When its session ends before
//     the answer is acknowledged, the answer is not sent on the next: the hub
//     has given up on it. The handler learns of that through Response.Sent.
//
// A SAS token lives an hour. At 80 % of that the session stops beginning new
// work, waits for the methods and messages in flight, disconnects, and the
// next connects at once with a fresh token; nobody is told of a break.
//
// Tokens and certificates need the time, which a device without a battery for
// its clock does not know at first. The first token waits some seconds for a clock
// that is trusted; then it is signed with what there is, since the hub may take
// it. A refusal by which the clock may be the culprit says so, and is tried again
// soon, at the latest when the clock comes to be trusted. A token that turns out
// to be wrong by a step of the clock is renewed at once.
//
// # Invariants
//
//   - The hub's certificate is verified, always, for the name that was dialled.
//   - No error, log line or panic text holds a key or a token.
//   - No call of a [Handler] comes from an MQTT callback, and a slow handler
//     delays neither keep-alive pings nor other methods.
//   - No wait is unbounded: every one ends with its context, its session, or a
//     time limit that ends the session.
//
// # What it is not
//
// It is no general MQTT client, keeps no state on disk, receives no
// cloud-to-device messages, and knows no proxies or WebSockets. It does not
// know what the methods and properties mean.
package device
