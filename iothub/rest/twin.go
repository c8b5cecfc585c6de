package rest

// Twin is the service's view of a device twin: GET /twins/{id}, and the rows
// of SELECT * FROM devices. The field order is a real hub's.
type Twin struct {
	DeviceID                  string         `json:"deviceId"`
	ETag                      string         `json:"etag"`
	DeviceETag                string         `json:"deviceEtag"`
	Status                    string         `json:"status"`
	StatusReason              string         `json:"statusReason,omitempty"`
	StatusUpdateTime          Time           `json:"statusUpdateTime"` // the identity spells it statusUpdatedTime
	ConnectionState           string         `json:"connectionState"`
	LastActivityTime          Time           `json:"lastActivityTime"`
	CloudToDeviceMessageCount int            `json:"cloudToDeviceMessageCount"`
	AuthenticationType        string         `json:"authenticationType"`
	X509Thumbprint            X509Thumbprint `json:"x509Thumbprint"`
	ModelID                   string         `json:"modelId"`
	Version                   int64          `json:"version"`
	Tags                      map[string]any `json:"tags,omitempty"`
	Properties                Properties     `json:"properties"`
	Capabilities              Capabilities   `json:"capabilities"`
}

// Properties are the two sections of a twin, each with its "$metadata" and
// "$version" members.
type Properties struct {
	Desired  map[string]any `json:"desired,omitempty"`
	Reported map[string]any `json:"reported,omitempty"`
}

// TwinPatch is the body of PATCH and PUT /twins/{id}. A section that is
// absent (nil pointer) is left alone; null in the body, which a pointer to a
// nil map writes, empties the section. It is for writing: reading into it
// cannot tell null from absent.
type TwinPatch struct {
	Tags       *map[string]any  `json:"tags,omitempty"`
	Properties *PatchProperties `json:"properties,omitempty"`
}

// PatchProperties is the part of a twin patch that reaches the device.
type PatchProperties struct {
	Desired *map[string]any `json:"desired,omitempty"`
}
