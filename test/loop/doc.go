// Package loop tests the three programs together, as they are built and as
// they run: processes, sockets, TLS, files. What it shows is the main job end
// to end, with an operator's client that was written after the public IoT Hub
// samples, and what becomes of the loop when a process is killed.
//
// It holds no code of the product and knows none of its insides beyond the
// words of the wire.
package loop
