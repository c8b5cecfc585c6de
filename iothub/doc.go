// Package iothub holds the words of the Azure IoT Hub wire: what the device
// agent, the operator's command line and the local hub must all spell alike.
//
// A device is named by a [ConnectionString] and proves itself with a [SAS]
// token signed by a [Key]. It talks over MQTT topics ([ParseTopic] and the
// Topic… functions). What it and its operators agree on is a twin of two
// sections, desired and reported, each with a version that only grows
// ([Twin], [Section]); a section changes by merge patch ([Merge], [Diff])
// within fixed limits ([CheckPatch], [CheckSize]), and the service sees when
// each property changed ([Metadata]). Failures carry a six-digit [Code] and
// come in two body shapes ([Error]).
//
// Invariants: a parser here never panics and never prints a secret; what it
// accepts, the matching formatter writes back with the same meaning; JSON
// numbers keep their digits (they are [encoding/json.Number]).
//
// The package does no I/O, keeps no state and knows nothing of doors or
// reboots. The MQTT session lives in iothub/device, the HTTPS client in
// iothub/service, the shapes of the service API in iothub/rest.
//
// Facts come from the public IoT Hub documentation (Learn, api-version
// 2021-04-12) and from what the official SDKs send; where a real hub is known
// to differ from its documentation, the comment says so.
package iothub

// APIVersion is the service API version that all three programs speak; the
// official Node and Python SDKs send the same.
const APIVersion = "2021-04-12"
