// Package service is the operator's side of IoT Hub: the registry, twins,
// direct methods, queries and jobs, over HTTPS.
//
// A [Client] is made from the connection string of a shared-access policy and
// signs its own tokens. It works alike against Azure IoT Hub and against the
// local hub, but for [Client.Endpoints], which only the local hub has.
//
// The rule that shapes it: what moves a door must not be sent twice. Of its
// own accord the client repeats only what reads (GET, and the query, which is
// a POST in name only) and, when the hub throttles, what leaves the same state
// behind however often it is done. A direct method is sent exactly once, over
// HTTP/1.1, without following redirects; when its answer is lost the caller
// learns that the device may have acted ([UnreachableError.MaybeSent]).
//
// Failures are an [*iothub.Error] where the hub answered, an
// [*UnreachableError] where it did not. Ids are checked before anything is
// sent. JSON numbers keep their digits. No error and no log line holds a key
// or a token.
//
// The package does not know what methods and properties mean: doors and
// reboots are the caller's.
package service
