package iothub

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Code is IoT Hub's six-digit error code; its first three digits are the HTTP
// status.
type Code int

// The codes that this project's programs send or tell apart (Learn,
// "Troubleshoot error codes").
const (
	ArgumentInvalid                     Code = 400004
	ArgumentNull                        Code = 400005
	IotHubFormatError                   Code = 400006
	DeviceDefinedMultipleTimes          Code = 400011
	BulkRegistryOperationFailure        Code = 400013
	IotHubUnauthorizedAccess            Code = 401002
	IotHubUnauthorized                  Code = 401003
	IotHubQuotaExceeded                 Code = 403002
	DeviceDisabled                      Code = 403012
	DeviceMaximumInflightMethodExceeded Code = 403800
	ResourceNotFound                    Code = 404000
	DeviceNotFound                      Code = 404001
	JobNotFound                         Code = 404002
	DeviceNotOnline                     Code = 404103
	MethodNotAllowed                    Code = 405000
	DeviceAlreadyExists                 Code = 409001
	JobAlreadyExists                    Code = 409104
	PreconditionFailed                  Code = 412001
	JobRunPreconditionFailed            Code = 412003
	MessageTooLarge                     Code = 413001
	TooManyDevices                      Code = 413002
	UnsupportedMediaType                Code = 415000
	ThrottlingException                 Code = 429001
	ThrottlingMaxActiveJobCountExceeded Code = 429004
	ServerError                         Code = 500001
	ServiceUnavailable                  Code = 503001
	DeviceUnavailable                   Code = 503102
	GatewayTimeout                      Code = 504101
)

var codeNames = map[Code]string{
	ArgumentInvalid:                     "ArgumentInvalid",
	ArgumentNull:                        "ArgumentNull",
	IotHubFormatError:                   "IotHubFormatError",
	DeviceDefinedMultipleTimes:          "DeviceDefinedMultipleTimes",
	BulkRegistryOperationFailure:        "BulkRegistryOperationFailure",
	IotHubUnauthorizedAccess:            "IotHubUnauthorizedAccess",
	IotHubUnauthorized:                  "IotHubUnauthorized",
	IotHubQuotaExceeded:                 "IotHubQuotaExceeded",
	DeviceDisabled:                      "DeviceDisabled",
	DeviceMaximumInflightMethodExceeded: "DeviceMaximumInflightMethodExceeded",
	ResourceNotFound:                    "ResourceNotFound",
	DeviceNotFound:                      "DeviceNotFound",
	JobNotFound:                         "JobNotFound",
	DeviceNotOnline:                     "DeviceNotOnline",
	MethodNotAllowed:                    "MethodNotAllowed",
	DeviceAlreadyExists:                 "DeviceAlreadyExists",
	JobAlreadyExists:                    "JobAlreadyExists",
	PreconditionFailed:                  "PreconditionFailed",
	JobRunPreconditionFailed:            "JobRunPreconditionFailed",
	MessageTooLarge:                     "MessageTooLarge",
	TooManyDevices:                      "TooManyDevices",
	UnsupportedMediaType:                "UnsupportedMediaType",
	ThrottlingException:                 "ThrottlingException",
	ThrottlingMaxActiveJobCountExceeded: "ThrottlingMaxActiveJobCountExceeded",
	ServerError:                         "ServerError",
	ServiceUnavailable:                  "ServiceUnavailable",
	DeviceUnavailable:                   "DeviceUnavailable",
	GatewayTimeout:                      "GatewayTimeout",
}

// String is the code's name ("DeviceNotFound"), or its digits.
func (c Code) String() string {
	if name, ok := codeNames[c]; ok {
		return name
	}
	return strconv.Itoa(int(c))
}

// HTTPStatus is the status that carries the code.
func (c Code) HTTPStatus() int { return int(c) / 1000 }

// codeNamed reads what String writes; 0 if it is neither a name we know nor a
// code's digits.
func codeNamed(name string) Code {
	for c, n := range codeNames {
		if n == name {
			return c
		}
	}
	if n, err := strconv.ParseUint(name, 10, 0); err == nil && len(name) == 6 {
		return Code(n)
	}
	return 0
}

// Error is a failure that a hub reports.
type Error struct {
	Code       Code           // 0 where the hub gave none that we know
	HTTPStatus int            // as received; 0 means Code's own
	Message    string         // what happened, for people
	TrackingID string         // the hub's handle for its support
	Info       map[string]any // only in method failures: {"timeout":"00:00:10"}
}

// Errorf makes an Error with a formatted message.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Status is the HTTP status of the error.
func (e *Error) Status() int {
	if e.HTTPStatus != 0 {
		return e.HTTPStatus
	}
	return e.Code.HTTPStatus()
}

func (e *Error) Error() string {
	name := e.Code.String()
	if e.Code == 0 {
		name = strings.TrimSpace(strconv.Itoa(e.HTTPStatus) + " " + http.StatusText(e.HTTPStatus))
	}
	if e.Message == "" {
		return name
	}
	return name + ": " + e.Message
}

// Is makes errors.Is(err, &Error{Code: c}) ask for the code alone. A target
// without a code matches nothing but itself.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Code == e.Code && t.Code != 0 && t.Message == ""
}

type wireError struct {
	Message          string `json:"Message"`
	ExceptionMessage string `json:"ExceptionMessage"`
}

type innerError struct {
	ErrorCode    int    `json:"errorCode"`
	TrackingID   string `json:"trackingId"`
	Message      string `json:"message"`
	Info         any    `json:"info,omitempty"` // nil, or a map: an empty one is written
	TimestampUTC string `json:"timestampUtc"`
}

// Body writes the error as the registry, twins, queries and jobs do:
// {"Message":"ErrorCode:Name;text","ExceptionMessage":"Tracking ID:…"}.
func (e *Error) Body(at time.Time) []byte {
	return mustMarshal(wireError{
		Message:          "ErrorCode:" + e.Code.String() + ";" + e.wireMessage(),
		ExceptionMessage: "Tracking ID:" + e.tracking(at),
	})
}

// MethodBody writes the error as direct methods do: Message is a string that
// holds JSON.
func (e *Error) MethodBody(at time.Time) []byte {
	inner := e.inner(at)
	if inner.Info == nil {
		inner.Info = map[string]any{}
	}
	return mustMarshal(wireError{Message: string(mustMarshal(inner))})
}

// TwinBody writes the error as the answer to a device's twin request does.
func (e *Error) TwinBody(at time.Time) []byte { return mustMarshal(e.inner(at)) }

func (e *Error) inner(at time.Time) innerError {
	inner := innerError{ErrorCode: int(e.Code), TrackingID: e.tracking(at), Message: e.wireMessage(), TimestampUTC: FormatTwinTime(at)}
	if e.Info != nil {
		inner.Info = e.Info
	}
	return inner
}

// wireMessage is the message without semicolons: the Node SDK splits bodies at
// them and shows one part.
func (e *Error) wireMessage() string { return strings.ReplaceAll(e.Message, ";", ",") }

func (e *Error) tracking(at time.Time) string {
	const stamp = "-TimeStamp:"
	if strings.Contains(e.TrackingID, stamp) { // an error that another hub sent
		return e.TrackingID
	}
	return e.TrackingID + stamp + at.UTC().Format("01/02/2006 15:04:05")
}

func mustMarshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // the types here always marshal
		panic(err)
	}
	return b
}

// ErrorHeader is the response header that names the error.
const ErrorHeader = "iothub-errorcode"

// DecodeError reads a failed response: its HTTP status, its iothub-errorcode
// header ("" if none) and its body in any of the shapes above, or none of
// them. It always gives an Error; how much it knows depends on the answer.
func DecodeError(status int, header string, body []byte) *Error {
	e := &Error{HTTPStatus: status, Code: codeNamed(header)}
	m := members(body)
	message, _ := m["message"].(string)
	if e.fill(m) || e.fill(members([]byte(message))) {
		return e
	}
	e.Message = message
	tracking, _ := m["exceptionmessage"].(string)
	e.TrackingID = strings.TrimPrefix(tracking, "Tracking ID:")
	rest, ok := strings.CutPrefix(message, "ErrorCode:")
	if !ok {
		return e
	}
	name, text, _ := strings.Cut(rest, ";")
	if c := codeNamed(name); c != 0 {
		e.Code, e.Message = c, text
	} else { // a name we do not know still tells something
		e.Message = name + ": " + text
	}
	return e
}

// members reads a JSON object, the names of its members in lower case: hubs
// and gateways do not agree on them. It is nil for anything else.
func members(text []byte) map[string]any {
	v, _ := decode(text)
	object, _ := v.(map[string]any)
	m := make(map[string]any, len(object))
	for name, value := range object {
		m[strings.ToLower(name)] = value
	}
	return m
}

// fill takes an error over from the members of the bare shape; false if they
// are of another.
func (e *Error) fill(m map[string]any) bool {
	number, _ := m["errorcode"].(json.Number)
	code, err := strconv.Atoi(string(number))
	if err != nil || code <= 0 {
		return false
	}
	e.Code = Code(code)
	e.Message, _ = m["message"].(string)
	e.TrackingID, _ = m["trackingid"].(string)
	e.Info, _ = m["info"].(map[string]any)
	return true
}
