package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"latchd/iothub"
)

// answer is a successful response. The SDKs insist on the exact status: 200,
// and 204 after a delete.
type answer struct {
	status int
	etag   string // "" : no ETag header
	header map[string]string
	body   []byte // JSON
}

// ok is status 200 with a value in JSON.
func ok(v any) (answer, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // payloads travel as they are
	if err := e.Encode(v); err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusOK, body: bytes.TrimSuffix(b.Bytes(), []byte("\n"))}, nil
}

// okWithETag is ok with the resource's etag in the header, where it is quoted.
func okWithETag(v any, etag string) (answer, error) {
	a, err := ok(v)
	a.etag = `"` + etag + `"`
	return a, err
}

func (a answer) write(w http.ResponseWriter) {
	for name, value := range a.header {
		w.Header().Set(name, value)
	}
	if a.etag != "" {
		w.Header().Set("ETag", a.etag)
	}
	writeBody(w, a.status, a.body)
}

func writeBody(w http.ResponseWriter, status int, body []byte) {
	if body != nil {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.Header().Set("Cache-Control", "no-store") // keys are among the answers
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone, or will see that it is short
}

// writeError answers with an error, in the shape of direct methods or in that
// of everything else. The text of an error that is not for clients stays here.
func (h *Hub) writeError(w http.ResponseWriter, err error, requestID string, methodShape bool) {
	wire, known := isWire(err)
	if !known {
		wire = iothub.Errorf(iothub.ServerError, "the hub failed on this request")
	}
	out := *wire
	out.TrackingID = strings.ReplaceAll(requestID, "-", "") + "-G:0"
	w.Header().Set(iothub.ErrorHeader, out.Code.String())
	body := out.Body(h.now())
	// The Node SDK knows a missing device only by the name in the other shape.
	if methodShape && out.Code != iothub.DeviceNotFound && out.Code != iothub.IotHubUnauthorizedAccess {
		body = out.MethodBody(h.now())
	}
	writeBody(w, out.Status(), body)
}

// decodeInto reads a body into a struct. Members are found in any case, and
// unknown ones are ignored: the SDKs send read-only parts back.
func decodeInto(body []byte, into any) error {
	bad := func(why string) error { return iothub.Errorf(iothub.ArgumentInvalid, "the body is %s", why) }
	switch {
	case len(bytes.TrimSpace(body)) == 0:
		return bad("empty")
	case !utf8.Valid(body):
		return bad("not valid UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(into); err != nil {
		return bad("not valid here: " + decodeFault(err))
	}
	// Also for what follows the value, which the decoder has not looked at, and
	// for a payload or a job's work, which are passed on as they are.
	if err := iothub.CheckJSON(body); err != nil {
		return bad(err.Error())
	}
	return nil
}

// decodeFault is the decoder's error without the names of Go types.
func decodeFault(err error) string {
	var mismatch *json.UnmarshalTypeError
	if !errors.As(err, &mismatch) {
		return err.Error()
	}
	member := mismatch.Field[strings.LastIndexByte(mismatch.Field, '.')+1:]
	if member == "" {
		return "it cannot be of type " + mismatch.Value
	}
	return member + " cannot be of type " + mismatch.Value
}

// decodeObject reads a body as a document.
func decodeObject(body []byte) (map[string]any, error) {
	doc, err := iothub.DecodeObject(body)
	if err != nil {
		return nil, iothub.Errorf(iothub.ArgumentInvalid, "the body is not valid here: %s", err)
	}
	return doc, nil
}

// isWire tells whether an error is one that a client is to see.
func isWire(err error) (*iothub.Error, bool) {
	var wire *iothub.Error
	return wire, errors.As(err, &wire)
}
