// Package hub is an IoT-Hub-compatible hub in one process: devices connect to
// it by MQTT, operators by the HTTPS service API of Azure IoT Hub, with the
// official SDKs or with anything else that speaks to the cloud hub.
//
// A hub lives in a directory of its own ([Init] makes it): its certificate
// authority, its policy keys, and one SQLite database with the identity
// registry, the twins, the jobs, what devices subscribed to, and the newest
// events. [Open] takes the directory for this process alone, [Hub.Serve] puts
// the hub on two listeners.
//
// The rules of the registry and of twins are plain functions over values
// (identity.go, twin.go, job.go); each operation is one transaction around
// them (registry.go, twins.go, jobs.go); the api_*.go files are their HTTP
// side and backend.go is their MQTT side. MQTT itself is package hub/broker,
// the query language package hub/query.
//
// Invariants:
//
//   - What a client was told has happened survives the death of the process
//     at any moment.
//   - A device's desired notifications are queued in the order of their versions.
//   - A direct method is sent at most once. One of a job is on the disk as
//     running before it is sent, and is never sent again, not even after a
//     crash in which its outcome was lost: a late unlock is an intruder.
//   - A device that was disabled or deleted, or whose keys were changed, has
//     lost its connection when the operator gets the answer, or loses it
//     while its CONNECT is still being checked.
//   - A token for one device opens nothing else, and a device's own key never
//     opens the service API.
//
// It is not a cluster, and not for the open internet: no throttling, no AMQP,
// no cloud-to-device messages, no module identities, no file upload, no import
// and export. The paths under /__ are its own and not Azure's.
package hub
