// Package broker is the device side of the hub: MQTT 3.1.1 over TLS, with the
// topics and the manners of Azure IoT Hub.
//
// A device connects under its own id, once at a time, and from then on has a
// session: the filters it subscribed to, the direct methods it owes an answer
// to, and a queue of packets on their way out. The session ends with its
// connection. What outlives it are the filters of a client that asked for
// CleanSession=0, and the [Backend] keeps those.
//
// Nothing here is publish and subscribe: each topic is a conversation between
// the hub and one device, so no packet ever has more than one receiver. The
// broker takes care of who may say what and of what goes where; what is true
// about a device (keys, twin, telemetry) it asks of its Backend.
//
// Invariants:
//   - A device has at most one session, and the Backend hears of its ups and
//     downs in order.
//   - A direct method is written at most once, at QoS 0, to a session that
//     existed when it was called. Once [Broker.Invoke] has returned, it does
//     not set out any more: it is taken back from the queue, and a connection
//     whose other end has not yet acknowledged it is reset.
//   - The desired versions that a session sees only grow.
//   - A QoS 1 publish is acknowledged after the Backend has stored it.
//   - Nobody waits for a device that does not read, but its own requests.
//
// Mochi (github.com/mochi-mqtt/server) takes packets apart, checks their form
// and writes the acknowledgements. Its sessions, its routing, its queues and
// its wills are not used, because they are a general broker's: hooks.go says
// for each how it is kept out and why. No messages to devices (C2D), no
// modules and no WebSocket are here yet.
package broker
