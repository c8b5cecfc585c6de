// Package rest holds the shapes of IoT Hub's service API as they travel over
// HTTPS: identities, twins, direct methods, queries, jobs, statistics. The
// local hub writes them and the service client reads them, so each is spelled
// once.
//
// A shape here is data only: no rules, no I/O. Field names and their order
// are a real hub's (api-version 2021-04-12), its quirks included: the twin
// says statusUpdateTime where the identity says statusUpdatedTime, a job is
// "cancelled" where one device of it is "canceled".
package rest
