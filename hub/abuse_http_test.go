package hub_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchd/hub"
)

// example is a good request for a route: what the generator changes one thing
// at a time in.
type example struct {
	path   string // "" : the route's with "victim" in place of the argument
	body   string
	params []string // of the query part
}

// examples has one or more for each route.
var examples = map[string][]example{
	"GET /devices":            {{params: []string{"top"}}},
	"POST /devices":           {{body: `[{"id":"victim","importMode":"update","status":"enabled","statusReason":"r","eTag":"*","twinETag":"*","moduleId":"","authentication":{"type":"sas","symmetricKey":{"primaryKey":"a2V5MQ==","secondaryKey":"a2V5Mg=="},"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null}},"capabilities":{"iotEdge":false},"tags":{"a":1},"properties":{"desired":{"b":{"c":2}}}}]`}},
	"POST /devices/query":     {{body: `{"query":"SELECT * FROM devices"}`, params: []string{"pageSize", "continuationToken"}}},
	"GET /devices/{}":         {{}},
	"PUT /devices/{}":         {{body: `{"deviceId":"victim","etag":"*","status":"enabled","statusReason":"r","authentication":{"type":"sas","symmetricKey":{"primaryKey":"a2V5MQ==","secondaryKey":"a2V5Mg=="},"x509Thumbprint":{"primaryThumbprint":null,"secondaryThumbprint":null}},"capabilities":{"iotEdge":false},"cloudToDeviceMessageCount":0,"lastActivityTime":"0001-01-01T00:00:00Z"}`}},
	"DELETE /devices/{}":      {{path: "/devices/nobody"}},
	"GET /statistics/devices": {{}},
	"GET /statistics/service": {{}},
	"GET /twins/{}":           {{}},
	"PATCH /twins/{}":         {{body: `{"deviceId":"victim","etag":"*","version":3,"status":"enabled","tags":{"a":{"b":[1]}},"properties":{"desired":{"c":{"d":2}},"reported":{}}}`}},
	"PUT /twins/{}":           {{body: `{"deviceId":"victim","etag":"*","tags":{"a":{"b":[1]}},"properties":{"desired":{"c":{"d":2}}}}`}},
	"POST /twins/{}/methods":  {{body: `{"methodName":"m","payload":{"a":[1,{"b":2}]},"responseTimeoutInSeconds":5,"connectTimeoutInSeconds":0,"timeoutInSeconds":5}`}},
	"GET /jobs":               {{}},
	"GET /jobs/v2/query":      {{params: []string{"jobType", "jobStatus", "pageSize", "continuationToken"}}},
	"PUT /jobs/v2/{}": {
		{body: `{"jobId":"victim","type":"scheduleDeviceMethod","cloudToDeviceMethod":{"methodName":"m","payload":{"a":1},"responseTimeoutInSeconds":5,"connectTimeoutInSeconds":0},"queryCondition":"deviceId = 'nobody'","startTime":"2020-01-01T00:00:00Z","maxExecutionTimeInSeconds":5}`},
		{body: `{"jobId":"victim","type":"scheduleUpdateTwin","updateTwin":{"etag":"*","tags":{"a":1},"properties":{"desired":{"b":{"c":1}},"reported":{}}},"queryCondition":"deviceId = 'nobody'","startTime":"2020-01-01T00:00:00Z","maxExecutionTimeInSeconds":5}`},
	},
	"GET /jobs/v2/{}":         {{}},
	"POST /jobs/v2/{}/cancel": {{}},
	"GET /__events":           {{params: []string{"after", "wait"}}},
	"GET /__endpoints":        {{}},
}

// sql are strings that would do harm if one were pasted into a statement. The
// device "witness", which they name, must be there at the end.
var sql = []string{
	`'; DELETE FROM devices; --`, `" OR "1"="1`, `witness' OR '1'='1`, `'||(DELETE FROM twins)||'`,
	"`; DROP TABLE jobs; --", `%' UNION SELECT primary_key FROM devices --`, `\'; PRAGMA query_only = 0; --`,
}

// wrongStrings are strings of all kinds; none is right anywhere.
var wrongStrings = append([]string{
	"", " ", "*", `"*"`, "-1", "0", "99999999999999999999", "1e309", "NaN", "null", "../../etc/passwd", "a/b", "%00", "%2F%2e%2e",
	"\u202e\ufeff", "💥", strings.Repeat("x", 300), "$iothub/methods/POST/#", "0001-01-01T00:00:00Z",
	"9999999-01-01T00:00:00Z", "a\x00b", "line\r\nX-Injected: 1",
}, sql...)

// isWhole tells whether the walks try everything everywhere, which takes a
// minute or more under the race detector: LATCHD_SOAK of 2 or more says so.
// Else each place gets its share, so that each wrong thing comes up in some
// places.
func isWhole() bool {
	n, err := strconv.Atoi(os.Getenv("LATCHD_SOAK"))
	return err == nil && n >= 2
}

// share gives one of so many parts of the wrong ones, and another the next time.
func share[T any](s *sharer, parts int, wrong []T) []T {
	if isWhole() {
		return wrong
	}
	s.n++
	var out []T
	for i := s.n % parts; i < len(wrong); i += parts {
		out = append(out, wrong[i])
	}
	return out
}

// sharer counts the places.
type sharer struct{ n int }

// wrongValues are JSON values of all kinds and sizes.
func wrongValues() []string {
	return []string{
		"null", "true", "0", "-1", "0.5", "1e400", "-99999999999999999999999", "[]", "{}", `[[]]`, `{"":""}`, `{"$version":1}`,
		`{"a":1,"a":2}`, `"\ud800"`, `"\u0000"`, "\"\xff\xfe\"", `{"\u0000":1}`, "{\"\xff\":1}", `{"a.b":1}`, `{"$a":1}`,
		"[" + strings.Repeat("1,", 5000) + "1]", `"` + strings.Repeat("y", 20<<10) + `"`,
		strings.Repeat("[", 5000) + strings.Repeat("]", 5000), strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200),
		"", "nul", "{", `"`, // not JSON
	}
}

// quoted gives strings as JSON.
func quoted(all []string) []string {
	out := make([]string, len(all))
	for i, s := range all {
		text, err := json.Marshal(s)
		if err != nil {
			panic(err)
		}
		out[i] = string(text)
	}
	return out
}

// TestWrongFields walks over all routes and changes one thing at a time: each
// member of the body, each argument of the path, each parameter, each header.
func TestWrongFields(t *testing.T) {
	t.Parallel()
	a := newAbused(t)
	a.addDevice("victim")
	a.endure(func() {
		n, s := 0, &sharer{}
		for _, route := range hub.Routes() {
			name := route.Method + " " + route.Path
			all, ok := examples[name]
			if !ok {
				t.Errorf("%s: there is no example; nobody abuses this route", name)
			}
			for _, e := range all {
				if e.path == "" {
					e.path = strings.ReplaceAll(route.Path, "{}", "victim")
				}
				a.probe(name, route.Method, e.path, e.body) // the example itself
				for _, path := range wrongPaths(s, route.Path, e) {
					a.probe(name, route.Method, path, e.body)
					n++
				}
				for _, body := range wrongBodies(t, s, e.body) {
					a.probe(name, route.Method, e.path, body)
					n++
				}
				for _, header := range slices.Sorted(maps.Keys(wrongHeaders)) {
					values := wrongHeaders[header]
					for _, value := range share(s, 12, values) {
						a.probe(name, route.Method, e.path, e.body, header, value)
						n++
					}
				}
			}
		}
		t.Logf("%d requests", n)
	})
	// A continuation or a condition must not have shown what is secret.
	if twin := a.call("GET", "/twins/witness", "").want(200); twin.at("deviceId") != `"witness"` {
		t.Errorf("%s", twin.body)
	}
}

// wrongBodies gives the body with each member in turn replaced by each wrong
// value, and the body as a whole.
func wrongBodies(t *testing.T, s *sharer, good string) []string {
	if good == "" {
		return share(s, 12, wrongValues()) // it is not read
	}
	var doc any
	if err := json.Unmarshal([]byte(good), &doc); err != nil {
		t.Fatalf("the example %s: %v", good, err)
	}
	const hole = "@@hole@@"
	var holed []string
	var walk func(v any, put func(any))
	walk = func(v any, put func(any)) {
		put(hole)
		text, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		holed = append(holed, string(text))
		put(v)
		switch v := v.(type) {
		case map[string]any:
			for _, name := range slices.Sorted(maps.Keys(v)) {
				walk(v[name], func(x any) { v[name] = x })
			}
		case []any:
			for i, item := range v {
				walk(item, func(x any) { v[i] = x })
			}
		}
	}
	walk(doc, func(x any) { doc = x })
	var out []string
	for _, text := range holed {
		for _, value := range append(share(s, 12, wrongValues()), share(s, 12, quoted(wrongStrings))...) {
			out = append(out, strings.ReplaceAll(text, `"`+hole+`"`, value))
		}
	}
	return append(out, good+good, good+"\x00", "\xef\xbb\xbf"+good, good[:len(good)-1])
}

// wrongPaths gives paths with wrong arguments, and with wrong parameters.
func wrongPaths(s *sharer, pattern string, e example) []string {
	var out []string
	if strings.Contains(pattern, "{}") {
		for _, wrong := range share(s, 3, wrongStrings) {
			out = append(out, strings.ReplaceAll(pattern, "{}", percent(wrong)))
		}
	}
	for _, name := range e.params {
		for _, wrong := range share(s, 3, wrongStrings) {
			out = append(out, e.path+"?"+name+"="+percent(wrong))
		}
	}
	return out
}

// percent encodes every byte, so that it arrives whatever it is.
func percent(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "%%%02X", s[i])
	}
	return b.String()
}

// wrongHeaders are forged and malformed, each in turn.
var wrongHeaders = map[string][]string{
	"If-Match": append([]string{
		"*", `"*`, `*"`, `""`, `W/"*"`, `"a", "b"`, `'*'`, `"` + strings.Repeat("A", 8<<10) + `"`, `"AAAAAAAAAAE="`, "AAAAAAAAAAE=", "\"\xff\"",
	}, sql...),
	"x-ms-max-item-count": {"0", "-1", "-2", "1.5", "99999999999999999999", "ten", "0x10", "'", "1 2"},
	"x-ms-continuation": {
		"=", "!!!!", "AAAA", "MA==", "MCA=", "LTEgYQ==" /* -1 a */, "OTk5OTk5OTk5OTk5OTk5OTk5OTk5IGE=", /* 99999999999999999999 a */
		"OTIyMzM3MjAzNjg1NDc3NTgwNyBh" /* 2^63-1 a */, "MCAnOyBERUxFVEUgRlJPTSBkZXZpY2VzOyAtLQ==", /* 0 '; DELETE FROM devices; -- */
		"MCD//gA=" /* 0 and bytes that are no text */, strings.Repeat("QUFB", 3000),
	},
	"Authorization": {
		"", "SharedAccessSignature", "SharedAccessSignature sr=&sig=&se=&skn=", "SharedAccessSignature sr=localhost&sig=AAAA&se=99999999999&skn=iothubowner",
		"SharedAccessSignature sr=localhost&sig=AAAA&se=1e99&skn=' OR 1=1 --", "SharedAccessSignature sr=%zz&sig=%&se=-1&skn=\xff", "Basic Og==",
		"SharedAccessSignature " + strings.Repeat("sr=a&", 2000),
	},
	"Content-Type": {"text/html", "application/json; charset=utf-16", "multipart/form-data; boundary=", "\xff"},
	"Host":         {"", "evil.example", "localhost:99999", "[::1", "' OR 1=1 --"},
	"Expect":       {"100-continue", "the worst"},
}

// probe makes a request that may be wrong in any way. Whatever it is, it is
// answered: as it deserves, and not with a fault of the hub.
func (a *abused) probe(name, method, path, body string, header ...string) {
	a.t.Helper()
	req, err := http.NewRequest(method, "https://"+a.https+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatalf("%s %s: %v", method, path, err)
	}
	req.Header.Set("Authorization", a.ownerToken())
	if strings.HasPrefix(name, "POST /devices") || strings.HasPrefix(name, "PATCH") {
		req.Header.Set("If-Match", `"*"`)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := a.client.Do(req)
	if err != nil {
		if len(header) > 0 && strings.Contains(err.Error(), "invalid header field value") {
			return // Go's client will not send it; TestWrongHTTP does
		}
		a.t.Fatalf("%s: %.200s %.300q %.200q: %v\n%s", name, path, body, header, err, a.log)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatalf("%s: %.200s %.300q %.200q: %v", name, path, body, header, err)
	}
	switch {
	case resp.StatusCode >= 500:
		a.t.Errorf("%s: %.200s %.300q %.200q is answered with status %d: %s", name, path, body, header, resp.StatusCode, text)
	case resp.StatusCode == 429: // 100 jobs wait; the rest would prove nothing
		a.t.Errorf("%s: %.200s %.300q: %s", name, path, body, text)
	case resp.StatusCode == http.StatusExpectationFailed, resp.StatusCode == 400 && slices.Contains(header, "Host"): // by net/http itself
	case resp.StatusCode >= 400 && !json.Valid(text), resp.StatusCode == 200 && !json.Valid(text):
		a.t.Errorf("%s: %.200s %.300q %.200q: status %d, and the body is not JSON: %q", name, path, body, header, resp.StatusCode, text)
	}
	if resp.Header.Get("X-Injected") != "" {
		a.t.Errorf("%s: %.200s: a header of the client's making is in the answer", name, path)
	}
	if strings.Contains(string(text), "sqlite") || strings.Contains(string(text), "SQL logic") || strings.Contains(string(text), "goroutine") {
		a.t.Errorf("%s: %.200s %.300q: the answer tells of the hub's insides: %s", name, path, body, text)
	}
}

func (a *abused) ownerToken() string {
	a.once.Do(func() { a.owner = a.token("iothubowner") })
	return a.owner
}

// TestWrongHTTP sends what no HTTP client sends, and leaves half-sent requests
// lying about.
func TestWrongHTTP(t *testing.T) {
	t.Parallel()
	a := newAbused(t)
	a.addDevice("victim")
	auth := "Host: localhost\r\nAuthorization: " + a.ownerToken() + "\r\n"
	whole := []string{
		"GARBAGE\r\n\r\n", "\r\n\r\n\r\n", "GET\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /devices\r\n\r\n",
		"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"GET /devices HTTP/1.1\r\n\r\n", "GET /devices HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"GET /\x00 HTTP/1.1\r\n" + auth + "\r\n", "GET /%zz HTTP/1.1\r\n" + auth + "\r\n", "GET http:// HTTP/1.1\r\n" + auth + "\r\n",
		"GET * HTTP/1.1\r\n" + auth + "\r\n", "CONNECT a:1 HTTP/1.1\r\n" + auth + "\r\n",
		"\xff\xfe /devices HTTP/1.1\r\n" + auth + "\r\n", strings.Repeat("A", 100) + " /devices HTTP/1.1\r\n" + auth + "\r\n",
		"GET /devices HTTP/1.1\r\n" + auth + "If-Match: \"\xff\x01\"\r\n\r\n",
		"GET /devices HTTP/1.1\r\n" + auth + strings.Repeat("X-A: b\r\n", 20000) + "\r\n",
		"GET /" + strings.Repeat("a/", 60000) + " HTTP/1.1\r\n" + auth + "\r\n",
		"PUT /devices/victim HTTP/1.1\r\n" + auth + "Content-Length: -1\r\n\r\n{}",
		"PUT /devices/victim HTTP/1.1\r\n" + auth + "Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
		"PUT /devices/victim HTTP/1.1\r\n" + auth + "Content-Length: 99999999999999999999\r\n\r\n{}",
		"PUT /devices/victim HTTP/1.1\r\n" + auth + "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
		"PUT /devices/victim HTTP/1.1\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n",
		"PUT /devices/victim HTTP/1.1\r\n" + auth + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}\r\n",
		"PUT /devices/victim HTTP/1.1\r\n" + auth + "Transfer-Encoding: gzip\r\n\r\n{}",
	}
	a.endure(func() {
		for _, text := range whole {
			conn := a.dialTLS(a.https)
			_, _ = io.WriteString(conn, text)
			_ = conn.CloseWrite()
			_ = conn.SetReadDeadline(time.Now().Add(patience))
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			switch {
			case err == nil && resp.StatusCode >= 500 && resp.StatusCode != 501 && resp.StatusCode != 505:
				t.Errorf("%.80q: status %d", text, resp.StatusCode)
			case err == nil && resp.StatusCode == 200:
				t.Errorf("%.80q: status 200", text)
			}
			_ = conn.Close()
		}
		// Everything large at once: bodies of 10 MB that are announced, and
		// such that are not; nesting; and bodies that stop in the middle.
		var open []net.Conn
		for _, route := range hub.Routes() {
			path := strings.ReplaceAll(route.Path, "{}", "victim")
			for _, rest := range []string{
				fmt.Sprintf("Content-Length: %d\r\n\r\n", 10<<20) + strings.Repeat("[", 64<<10),
				"Transfer-Encoding: chunked\r\n\r\nA00000\r\n" + strings.Repeat("[", 64<<10),
				fmt.Sprintf("Content-Length: %d\r\n\r\n{", min(route.MaxBody, 1<<20)),
				"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
				"X-Slow: ",
			} {
				conn := a.dialTLS(a.https)
				_ = conn.SetWriteDeadline(time.Now().Add(patience))
				_, _ = io.WriteString(conn, route.Method+" "+path+" HTTP/1.1\r\n"+auth+rest)
				open = append(open, conn)
			}
		}
		// The well-behaved go on while all of these lie about.
		time.Sleep(500 * time.Millisecond)
		for _, conn := range open {
			_ = conn.Close()
		}
		deep := strings.Repeat("[", 512<<10)
		for _, path := range []string{"/twins/victim", "/devices/victim", "/jobs/v2/victim"} {
			a.probe("PUT "+path, "PUT", path, deep)
			a.probe("PUT "+path, "PUT", path, `{"tags":`+strings.Repeat(`{"a":`, 100<<10))
		}
	})
}

// dialTLS opens a connection that trusts the hub.
func (r *rig) dialTLS(address string) *tls.Conn {
	r.t.Helper()
	conn, err := r.tryTLS(address)
	if err != nil {
		r.t.Fatal(err)
	}
	return conn
}

func (r *rig) tryTLS(address string) (*tls.Conn, error) {
	return tls.Dial("tcp", address, &tls.Config{RootCAs: r.roots, ServerName: "localhost", ClientSessionCache: r.sessions})
}

// post makes a request as the owner from any goroutine; 0 is no answer.
func (a *abused) post(path, body string) (status int) {
	req, err := http.NewRequest("POST", "https://"+a.https+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	req.Header.Set("Authorization", a.ownerToken())
	resp, err := a.client.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
