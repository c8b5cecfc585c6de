package rest

import "encoding/json"

// MethodCall is the body of POST /twins/{id}/methods, and the
// cloudToDeviceMethod of a job. The payload travels as it is: any JSON value.
type MethodCall struct {
	MethodName               string          `json:"methodName"`
	Payload                  json.RawMessage `json:"payload,omitempty"`
	ResponseTimeoutInSeconds *int            `json:"responseTimeoutInSeconds,omitempty"` // 5 … 300, default 30
	ConnectTimeoutInSeconds  *int            `json:"connectTimeoutInSeconds,omitempty"`  // 0 … 300, default 0
	TimeoutInSeconds         *int            `json:"timeoutInSeconds,omitempty"`         // the 2016 name of the response timeout
}

// MethodResult is the device's answer. The HTTP status is 200 whatever Status
// says: Status is the device's own.
type MethodResult struct {
	Status  int             `json:"status"`
	Payload json.RawMessage `json:"payload"`
}
