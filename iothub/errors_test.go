package iothub

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestDecodeError reads bodies as real hubs have sent them.
func TestDecodeError(t *testing.T) {
	for _, test := range []struct {
		name   string
		status int
		header string
		body   string
		want   Error
		text   string
	}{
		{
			"method, device away", 404, "DeviceNotOnline",
			`{"Message":"{\"errorCode\":404103,\"trackingId\":\"2ce04a2d881c4010aaf5f6cfacd2ee95-G:0-TimeStamp:08/24/2018 17:49:33\",\"message\":\"Timed out waiting for device to connect.\",\"info\":{\"timeout\":\"00:00:00\"},\"timestampUtc\":\"2018-08-24T17:49:33.201157Z\"}","ExceptionMessage":""}`,
			Error{
				Code: DeviceNotOnline, Message: "Timed out waiting for device to connect.", Info: map[string]any{"timeout": "00:00:00"},
				TrackingID: "2ce04a2d881c4010aaf5f6cfacd2ee95-G:0-TimeStamp:08/24/2018 17:49:33",
			},
			"DeviceNotOnline: Timed out waiting for device to connect.",
		},
		{
			"method, empty info", 404, "", `{"Message":"{\"errorCode\":404103,\"message\":\"Device not online.\",\"info\":{}}","ExceptionMessage":""}`,
			Error{Code: DeviceNotOnline, Message: "Device not online.", Info: map[string]any{}},
			"DeviceNotOnline: Device not online.",
		},
		{
			"method, no answer", 504, "GatewayTimeout",
			`{"Message":"{\"errorCode\":504101,\"trackingId\":\"t\",\"message\":\"Timed out waiting for the response from device.\",\"info\":null}","ExceptionMessage":null}`,
			Error{Code: GatewayTimeout, Message: "Timed out waiting for the response from device.", TrackingID: "t"},
			"GatewayTimeout: Timed out waiting for the response from device.",
		},
		{
			"method, old", 404, "DeviceNotOnline",
			`{"Message":"ErrorCode:DeviceNotOnline;Timed out waiting for device to connect.","ExceptionMessage":"Tracking ID:1a2b"}`,
			Error{Code: DeviceNotOnline, Message: "Timed out waiting for device to connect.", TrackingID: "1a2b"},
			"DeviceNotOnline: Timed out waiting for device to connect.",
		},
		{
			"registry", 409, "DeviceAlreadyExists",
			`{"Message":"ErrorCode:DeviceAlreadyExists;Conflict","ExceptionMessage":"Tracking ID:1a2b-G:11-TimeStamp:07/16/2016 00:12:41"}`,
			Error{Code: DeviceAlreadyExists, Message: "Conflict", TrackingID: "1a2b-G:11-TimeStamp:07/16/2016 00:12:41"},
			"DeviceAlreadyExists: Conflict",
		},
		{
			"new tracking text", 401, "",
			`{"Message":"ErrorCode:IotHubUnauthorizedAccess;Unauthorized","ExceptionMessage":"Tracking ID:4D2C-G2:-TimeStamp:2025-01-08T19:28:00.672603626Z"}`,
			Error{Code: IotHubUnauthorizedAccess, Message: "Unauthorized", TrackingID: "4D2C-G2:-TimeStamp:2025-01-08T19:28:00.672603626Z"},
			"IotHubUnauthorizedAccess: Unauthorized",
		},
		{
			"nested body", 429, "ThrottlingMaxActiveJobCountExceeded",
			`{"Message":"ErrorCode:ThrottlingMaxActiveJobCountExceeded;Error: 429 {\"Message\":\"x;y\"}","ExceptionMessage":"Tracking ID:t"}`,
			Error{Code: ThrottlingMaxActiveJobCountExceeded, Message: `Error: 429 {"Message":"x;y"}`, TrackingID: "t"},
			`ThrottlingMaxActiveJobCountExceeded: Error: 429 {"Message":"x;y"}`,
		},
		{
			"no exception message", 400, "", `{"Message":"ErrorCode:ArgumentNull;BadRequest"}`,
			Error{Code: ArgumentNull, Message: "BadRequest"},
			"ArgumentNull: BadRequest",
		},
		{"name without text", 400, "", `{"Message":"ErrorCode:ArgumentInvalid"}`, Error{Code: ArgumentInvalid}, "ArgumentInvalid"},
		{
			"twin", 400, "", `{"errorCode":400004,"trackingId":"t","message":"Bad patch.","timestampUtc":"2021-01-01T00:00:00Z"}`,
			Error{Code: ArgumentInvalid, Message: "Bad patch.", TrackingID: "t"},
			"ArgumentInvalid: Bad patch.",
		},
		{"unknown number", 400, "", `{"errorCode":400028,"message":"m"}`, Error{Code: 400028, Message: "m"}, "400028: m"},
		{"unknown name", 404, "", `{"Message":"ErrorCode:ModuleNotFound;m"}`, Error{Message: "ModuleNotFound: m"}, "404 Not Found: ModuleNotFound: m"},
		{
			"unknown name, known header", 404, "ResourceNotFound", `{"Message":"ErrorCode:ModuleNotFound;m"}`,
			Error{Code: ResourceNotFound, Message: "ModuleNotFound: m"},
			"ResourceNotFound: ModuleNotFound: m",
		},
		{"digits for a name", 404, "", `{"Message":"ErrorCode:404010;m"}`, Error{Code: 404010, Message: "m"}, "404010: m"},
		{"body and header differ", 404, "DeviceNotFound", `{"errorCode":404103}`, Error{Code: DeviceNotOnline}, "DeviceNotOnline"},
		{"header alone", 404, "DeviceNotFound", "", Error{Code: DeviceNotFound}, "DeviceNotFound"},
		{"other text", 502, "", `{"Message":"An error has occurred."}`, Error{Message: "An error has occurred."}, "502 Bad Gateway: An error has occurred."},
		{"code as text", 404, "DeviceNotFound", `{"errorCode":"404103"}`, Error{Code: DeviceNotFound}, "DeviceNotFound"},
		{"info of another type", 404, "", `{"errorCode":404103,"message":"m","info":"x"}`, Error{Code: DeviceNotOnline, Message: "m"}, "DeviceNotOnline: m"},
		{"message of another type", 404, "", `{"errorCode":404103,"message":1}`, Error{Code: DeviceNotOnline}, "DeviceNotOnline"},
		{"a proxy's page", 503, "", "<html>try later</html>", Error{}, "503 Service Unavailable"},
		{"nothing", 500, "", "", Error{}, "500 Internal Server Error"},
		{"half a body", 404, "", `{"Message":"ErrorC`, Error{}, "404 Not Found"},
		{"an array", 404, "", `[1]`, Error{}, "404 Not Found"},
		{"a status nobody knows", 599, "Nonsense", "null", Error{}, "599"},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.want.HTTPStatus = test.status
			got := DecodeError(test.status, test.header, []byte(test.body))
			if diff := cmp.Diff(&test.want, got); diff != "" {
				t.Error(diff)
			}
			if got.Error() != test.text || got.Status() != test.status {
				t.Errorf("%q with status %d", got, got.Status())
			}
		})
	}
}

var errorTime = time.Date(2026, 11, 22, 3, 4, 5, 678_901_200, time.FixedZone("", 3600))

func TestErrorBodies(t *testing.T) {
	e := Errorf(DeviceNotOnline, "Timed out %s <device>.", "waiting for")
	e.TrackingID = "abc-G:0"
	e.Info = map[string]any{"timeout": "00:00:10"}
	const inner = `{"errorCode":404103,"trackingId":"abc-G:0-TimeStamp:11/22/2026 02:04:05","message":"Timed out waiting for \u003cdevice\u003e.",` +
		`"info":{"timeout":"00:00:10"},"timestampUtc":"2026-11-22T02:04:05.6789012Z"}`
	for _, test := range []struct{ name, got, want string }{
		{
			"registry", string(e.Body(errorTime)),
			`{"Message":"ErrorCode:DeviceNotOnline;Timed out waiting for \u003cdevice\u003e.","ExceptionMessage":"Tracking ID:abc-G:0-TimeStamp:11/22/2026 02:04:05"}`,
		},
		{"twin", string(e.TwinBody(errorTime)), inner},
		{"method", string(e.MethodBody(errorTime)), `{"Message":"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(inner) + `","ExceptionMessage":""}`},
	} {
		if test.got != test.want {
			t.Errorf("%s\ngot  %s\nwant %s", test.name, test.got, test.want)
		}
	}
	e.Info = nil
	if got := string(e.MethodBody(errorTime)); !strings.Contains(got, `\"info\":{}`) {
		t.Errorf("without info: %s", got)
	}
	if got := string(e.TwinBody(errorTime)); strings.Contains(got, `info`) {
		t.Errorf("without info: %s", got)
	}
}

// TestErrorBodiesAreRead writes every code in each shape and reads it again;
// what was read may be passed on and still says the same.
func TestErrorBodiesAreRead(t *testing.T) {
	codes := []Code{400028, 599999}
	for code := range codeNames {
		codes = append(codes, code)
	}
	for _, code := range codes {
		for name, write := range map[string]func(*Error) []byte{
			"registry": func(e *Error) []byte { return e.Body(errorTime) },
			"method":   func(e *Error) []byte { return e.MethodBody(errorTime) },
			"twin":     func(e *Error) []byte { return e.TwinBody(errorTime) },
		} {
			e := Errorf(code, "it is, \"so\": %d%%", 1)
			e.TrackingID = "t"
			first := DecodeError(e.Status(), "", write(e))
			second := DecodeError(first.Status(), first.Code.String(), write(first))
			for _, got := range []*Error{first, second} {
				if got.Code != code || got.Message != e.Message || got.TrackingID != "t-TimeStamp:11/22/2026 02:04:05" || got.Status() != int(code)/1000 {
					t.Errorf("%s as %s: %+v", code, name, got)
				}
			}
		}
	}
}

func TestErrorIs(t *testing.T) {
	wrapped := fmt.Errorf("calling d1: %w", Errorf(DeviceNotOnline, "away"))
	for target, want := range map[*Error]bool{
		{Code: DeviceNotOnline}:                  true,
		{Code: DeviceNotFound}:                   false,
		{Code: DeviceNotOnline, Message: "away"}: false,
		{}:                                       false,
	} {
		if errors.Is(wrapped, target) != want {
			t.Errorf("is it %+v: %v", target, !want)
		}
	}
	bare := &Error{HTTPStatus: 502}
	if errors.Is(bare, &Error{}) || !errors.Is(bare, bare) {
		t.Error("an error without a code")
	}
	var e *Error
	if !errors.As(wrapped, &e) || e.Status() != 404 {
		t.Errorf("%v", e)
	}
}

func TestCodes(t *testing.T) {
	for code, name := range codeNames {
		if code.String() != name || codeNamed(name) != code || codeNamed(fmt.Sprint(int(code))) != code {
			t.Errorf("%d and %s", int(code), name)
		}
		if s := code.HTTPStatus(); s < 400 || s > 599 {
			t.Errorf("%s has status %d", name, s)
		}
	}
	for _, name := range []string{"", "0", "devicenotfound", "40400", "4040010", "-40400", "+40400"} {
		if c := codeNamed(name); c != 0 {
			t.Errorf("%q is %d", name, int(c))
		}
	}
	if got := (&Error{}).Error(); got != "0" {
		t.Errorf("the zero error: %q", got)
	}
}

// The Node SDK splits a body's text at semicolons and shows one part of it, so
// no message may hold one.
func TestErrorMessageHasNoSemicolon(t *testing.T) {
	e := Errorf(ArgumentInvalid, "it has 9 bytes; at most 8 are allowed")
	at := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for _, body := range [][]byte{e.Body(at), e.MethodBody(at), e.TwinBody(at)} {
		got := DecodeError(400, "", body)
		if got.Message != "it has 9 bytes, at most 8 are allowed" {
			t.Errorf("%s\ncarries %q", body, got.Message)
		}
	}
}
