package iothub

// MaxMethodPayload is the largest payload of a direct method, in bytes, each
// way (Learn, "Direct methods").
const MaxMethodPayload = 131072

// MethodRequest is a direct method as it reaches the device.
type MethodRequest struct {
	Name    string
	Payload []byte // JSON, or empty where the caller gave none
}

// MethodResponse is the device's answer.
type MethodResponse struct {
	Status  int    // the device's own, by habit like HTTP's
	Payload []byte // JSON

	// Sent, if set, is called exactly once: with nil when the hub has
	// acknowledged the answer (PUBACK), else with why it never will.
	Sent func(error)
}
