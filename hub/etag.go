package hub

import (
	"net/http"
	"strings"

	"latchd/iothub"
)

// ifMatch is a client's If-Match header.
type ifMatch struct {
	given bool
	any   bool
	etag  string
}

// readIfMatch reads the header in all the forms that clients send: "*" with
// quotes (the SDKs) and without, an etag with quotes, without, and weak.
func readIfMatch(h http.Header) ifMatch {
	text := strings.TrimSpace(h.Get("If-Match"))
	if text == "" {
		return ifMatch{}
	}
	text = strings.TrimPrefix(text, "W/")
	if len(text) >= 2 && strings.HasPrefix(text, `"`) && strings.HasSuffix(text, `"`) {
		text = text[1 : len(text)-1]
	}
	return ifMatch{given: true, any: text == "*", etag: text}
}

// check is PreconditionFailed if the resource is not the one the client knows.
func (m ifMatch) check(etag string) error {
	if !m.given || m.any || m.etag == etag {
		return nil
	}
	return iothub.Errorf(iothub.PreconditionFailed, "The etag in the request does not match the etag of the existing resource, as per RFC7232")
}
