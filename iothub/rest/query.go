package rest

// QueryRequest is the body of POST /devices/query.
type QueryRequest struct {
	Query string `json:"query"`
}

// Headers of queries and job lists. Continuation is opaque and kept byte for
// byte; its absence in an answer means the last page.
const (
	HeaderMaxItemCount = "x-ms-max-item-count"
	HeaderContinuation = "x-ms-continuation"
	HeaderItemType     = "x-ms-item-type"
)

// Values of HeaderItemType. The C# SDK compares them case-sensitively.
const (
	ItemTwin        = "Twin"
	ItemDeviceJob   = "DeviceJob"
	ItemJobResponse = "JobResponse"
	ItemRaw         = "Raw"
)
