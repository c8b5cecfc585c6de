// Package interop holds the checks with other people's clients: that hub and
// agent serve what those send, and answer as those insist on.
//
// There are two kinds. The replay (replay_test.go) needs nothing but Go: each
// request that the official SDKs for Python and Node and the az command line
// were seen to send is in testdata/replay as data, with the answer that they
// depend on, and is sent again, byte for byte as far as it is theirs, to a hub
// in this process. It runs with all other tests.
//
// The scripts beside it run the official SDKs for Node themselves, against the
// programs as they are built (make interop).
package interop
