package rest

// Device is an identity of the registry: GET and PUT /devices/{id}.
type Device struct {
	DeviceID                   string         `json:"deviceId"`
	GenerationID               string         `json:"generationId,omitempty"` // differs when an id is deleted and made again
	ETag                       string         `json:"etag,omitempty"`
	ConnectionState            string         `json:"connectionState,omitempty"` // Connected or Disconnected
	Status                     string         `json:"status,omitempty"`          // enabled or disabled
	StatusReason               *string        `json:"statusReason"`              // at most 128 characters
	ConnectionStateUpdatedTime Time           `json:"connectionStateUpdatedTime"`
	StatusUpdatedTime          Time           `json:"statusUpdatedTime"`
	LastActivityTime           Time           `json:"lastActivityTime"`
	CloudToDeviceMessageCount  int            `json:"cloudToDeviceMessageCount"`
	Authentication             Authentication `json:"authentication"`
	Capabilities               Capabilities   `json:"capabilities"`
}

// Values of Device.Status and Device.ConnectionState.
const (
	StatusEnabled     = "enabled"
	StatusDisabled    = "disabled"
	StateConnected    = "Connected"
	StateDisconnected = "Disconnected"
)

// Authentication is how a device proves itself.
type Authentication struct {
	SymmetricKey   SymmetricKey   `json:"symmetricKey"`
	X509Thumbprint X509Thumbprint `json:"x509Thumbprint"`
	Type           string         `json:"type,omitempty"`
}

// Values of Authentication.Type.
const (
	AuthSAS                  = "sas"
	AuthSelfSigned           = "selfSigned"
	AuthCertificateAuthority = "certificateAuthority"
	AuthNone                 = "none"
)

// SymmetricKey holds a device's keys, base64. Never log it.
type SymmetricKey struct {
	PrimaryKey   *string `json:"primaryKey"`
	SecondaryKey *string `json:"secondaryKey"`
}

// X509Thumbprint holds SHA-1 or SHA-256 thumbprints of certificates, in hex.
type X509Thumbprint struct {
	PrimaryThumbprint   *string `json:"primaryThumbprint"`
	SecondaryThumbprint *string `json:"secondaryThumbprint"`
}

// Capabilities says whether a device is an Edge gateway; ours never are.
type Capabilities struct {
	IotEdge bool `json:"iotEdge"`
}

// BulkDevice is one item of POST /devices (mind its spellings: id and eTag).
type BulkDevice struct {
	ID             string         `json:"id"`
	ETag           string         `json:"eTag,omitempty"`
	ImportMode     string         `json:"importMode,omitempty"` // create, update, delete, …; any case
	Status         string         `json:"status,omitempty"`
	StatusReason   *string        `json:"statusReason,omitempty"`
	Authentication Authentication `json:"authentication"`
	Tags           map[string]any `json:"tags,omitempty"`
	Properties     *Properties    `json:"properties,omitempty"`
}

// BulkResult is the answer to POST /devices, with status 200 or 400.
type BulkResult struct {
	IsSuccessful bool        `json:"isSuccessful"`
	Errors       []BulkError `json:"errors"`
	Warnings     []any       `json:"warnings"`
}

// BulkError says what became of one item; ErrorCode is a name.
type BulkError struct {
	DeviceID    string `json:"deviceId"`
	ErrorCode   string `json:"errorCode"`
	ErrorStatus string `json:"errorStatus"`
}

// DeviceStatistics answers GET /statistics/devices.
type DeviceStatistics struct {
	TotalDeviceCount    int `json:"totalDeviceCount"`
	EnabledDeviceCount  int `json:"enabledDeviceCount"`
	DisabledDeviceCount int `json:"disabledDeviceCount"`
}

// ServiceStatistics answers GET /statistics/service.
type ServiceStatistics struct {
	ConnectedDeviceCount int `json:"connectedDeviceCount"`
}
