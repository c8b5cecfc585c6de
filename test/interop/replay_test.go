package interop

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"latchd/hub"
	"latchd/iothub"
)

// shapes is how many rows each recording has, so that one that is lost from
// the data, or a recording that nobody plays, is noticed.
var shapes = map[string]int{"python": 55, "node": 46, "az": 34}

// TestReplay sends each recorded request again, in the recorded order, and
// checks what the client that sent it depends on.
func TestReplay(t *testing.T) {
	t.Parallel()
	names, err := recordings()
	if err != nil {
		t.Fatal(err)
	}
	if len(names) != len(shapes) {
		t.Errorf("there are the recordings %q, and %d are expected", names, len(shapes))
	}
	for name, n := range shapes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rec, err := readRecording(filepath.Join("testdata/replay", name+".txtar"))
			if err != nil {
				t.Fatal(err)
			}
			p := newPlayer(t, rec)
			for _, r := range rec.rows {
				if !t.Run(r.name, func(t *testing.T) { p.play(t, r) }) {
					t.Fatal("the rows that follow need this one")
				}
			}
			if len(rec.rows) != n {
				t.Errorf("%d rows were played, and there were %d when this was written", len(rec.rows), n)
			}
			for name := range p.values.kept {
				if !p.values.used[name] {
					t.Errorf("%q was kept, and no row uses it", name)
				}
			}
		})
	}
}

// player is a hub, the client that speaks to it, and its device.
type player struct {
	rec         recording
	values      values
	mqtt, https string // addresses
	roots       *x509.CertPool
	owner       iothub.Key
	device      *device // nil before its CONNECT
}

const patience = 20 * time.Second // for what happens at once on an idle machine

func newPlayer(t *testing.T, rec recording) *player {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "hub")
	if err := hub.Init(dir, nil); err != nil {
		t.Fatal(err)
	}
	h, err := hub.Open(dir, hub.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	devices, operators := listen(t), listen(t)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- h.Serve(ctx, devices, operators) }()
	t.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	p := &player{
		rec: rec, values: values{map[string]string{}, map[string]bool{}},
		mqtt: devices.Addr().String(), https: operators.Addr().String(), roots: x509.NewCertPool(),
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	p.roots.AppendCertsFromPEM(ca)
	text, err := hub.ConnectionString(dir, "iothubowner")
	if err != nil {
		t.Fatal(err)
	}
	service, err := iothub.ParseServiceConnectionString(text)
	if err != nil {
		t.Fatal(err)
	}
	p.owner = service.SharedAccessKey
	return p
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (p *player) play(t *testing.T, r row) {
	switch r.verb {
	case "CONNECT":
		p.connect(t, r)
	case "SUBSCRIBE", "PUBLISH", "HEARS":
		p.deviceRow(t, r)
	default:
		p.request(t, r)
	}
}

// fill is values.fill, with the rest of a row's lines.
func (p *player) fill(t *testing.T, text string) string {
	t.Helper()
	filled, err := p.values.fill(text)
	if err != nil {
		t.Fatal(err)
	}
	return filled
}

// request sends a row of the service API, and again while its answer is not
// the one that it waits for.
func (p *player) request(t *testing.T, r row) {
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		a := p.send(t, r)
		if why := a.waits(r.want); why != "" {
			if time.Now().After(end) {
				t.Fatalf("waited in vain for %s: %s", why, a.body)
			}
			continue
		}
		p.checkAnswer(t, r, a)
		return
	}
}

// send writes the request as the client does and reads the answer.
func (p *player) send(t *testing.T, r row) answer {
	t.Helper()
	key := p.owner
	for _, line := range r.want {
		if line == "wrong-key" {
			key = iothub.GenerateKey()
		}
	}
	body := p.fill(t, r.body)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\n", r.verb, r.target)
	lines := append([]string{}, p.rec.headers...)
	lines = append(lines, "Authorization: "+serviceToken(p.rec.sas, key))
	if body != "" {
		lines = append(append(lines, p.rec.bodyHeaders...), "Content-Length: "+strconv.Itoa(len(body)))
	}
	for _, line := range append(lines, r.headers...) {
		b.WriteString(p.fill(t, line) + "\r\n")
	}
	b.WriteString("\r\n" + body)

	// The Python SDK opens a connection for each call.
	conn, err := tls.Dial("tcp", p.https, &tls.Config{RootCAs: p.roots, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, b.String()); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: r.verb})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{status: strconv.Itoa(resp.StatusCode), header: resp.Header, body: text}
}

// serviceToken signs as the SDKs do, with no code of ours: over the resource
// as it stands in the token, percent-encoded, a line feed, and the expiry.
func serviceToken(order []string, key iothub.Key) string {
	expiry := strconv.FormatInt(time.Now().Add(time.Hour).Unix(), 10)
	return signed(order, key, "localhost", expiry, "iothubowner")
}

func signed(order []string, key iothub.Key, resource, expiry, policy string) string {
	secret, err := base64.StdEncoding.DecodeString(key.Reveal())
	if err != nil {
		panic(err)
	}
	mac := hmac.New(sha256.New, secret)
	io.WriteString(mac, resource+"\n"+expiry)
	fields := map[string]string{
		"sr": resource, "se": expiry, "skn": policy,
		"sig": url.QueryEscape(base64.StdEncoding.EncodeToString(mac.Sum(nil))),
	}
	parts := make([]string, len(order))
	for i, name := range order {
		parts[i] = name + "=" + fields[name]
	}
	return "SharedAccessSignature " + strings.Join(parts, "&")
}

// answer is what a client got.
type answer struct {
	status  string
	header  http.Header // nil for an answer to a device
	body    []byte
	version string // $version of the topic, for a device
}

// at finds a member by its path. Numbers are json.Number.
func (a answer) at(path string) (any, bool) {
	if path == "$version" {
		return json.Number(a.version), a.version != ""
	}
	d := json.NewDecoder(strings.NewReader(string(a.body)))
	d.UseNumber()
	var v any
	if d.Decode(&v) != nil {
		return nil, false
	}
	for _, name := range strings.Split(path, ".") {
		switch in := v.(type) {
		case map[string]any:
			var ok bool
			if v, ok = in[name]; !ok {
				return nil, false
			}
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(in) {
				return nil, false
			}
			v = in[i]
		default:
			return nil, false
		}
	}
	return v, true
}

// text is a value to keep: a string, or what the path names of the headers.
func (a answer) text(path string) string {
	switch path {
	case "@etag":
		return strings.Trim(a.header.Get("ETag"), `"`)
	case "@continuation":
		return a.header.Get("x-ms-continuation")
	}
	v, _ := a.at(path)
	s, _ := v.(string)
	return s
}

// equal compares a member with JSON text.
func (a answer) equal(path, text string) error {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var want any
	if err := d.Decode(&want); err != nil {
		return fmt.Errorf("%s = %s: %w", path, text, err)
	}
	if got, ok := a.at(path); !ok || !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%s is %v, want %s", path, got, text)
	}
	return nil
}

// waits gives the line of the row that does not hold yet; "" for none.
func (a answer) waits(want []string) string {
	for _, line := range want {
		if rest, ok := strings.CutPrefix(line, "until "); ok {
			path, text, _ := strings.Cut(rest, " = ")
			if a.equal(path, text) != nil {
				return rest
			}
		}
	}
	return ""
}

// checkAnswer checks the status, each line of the row, and what holds of all
// answers.
func (p *player) checkAnswer(t *testing.T, r row, a answer) {
	t.Helper()
	if a.status != r.want[0] {
		t.Fatalf("status %s, want %s: %s", a.status, r.want[0], a.body)
	}
	more := false
	for _, line := range r.want[1:] {
		more = more || line == "more"
		if err := p.checkLine(t, r, a, line); err != nil {
			t.Errorf("%v\nthe answer: %v %s", err, a.header, a.body)
		}
	}
	if a.header == nil { // of a device
		return
	}
	// The Node SDK takes even an empty one for another page.
	if _, there := a.header["X-Ms-Continuation"]; there != more {
		t.Errorf("x-ms-continuation is there: %v; want %v", there, more)
	}
	if got := a.header.Get("Content-Type"); len(a.body) > 0 && !strings.HasPrefix(got, "application/json") {
		t.Errorf("Content-Type is %q", got)
	}
}

func (p *player) checkLine(t *testing.T, r row, a answer, line string) error {
	t.Helper()
	word, rest, _ := strings.Cut(line, " ")
	switch word {
	case "more", "wrong-key", "until":
		return nil
	case "empty":
		if len(a.body) != 0 {
			return fmt.Errorf("it has a body")
		}
		return nil
	case "has":
		if _, ok := a.at(rest); !ok {
			return fmt.Errorf("%s is missing", rest)
		}
		return nil
	case "lacks":
		if v, ok := a.at(rest); ok {
			return fmt.Errorf("%s is %v, and should not be there", rest, v)
		}
		return nil
	case "count":
		var all []any
		if err := json.Unmarshal(a.body, &all); err != nil || strconv.Itoa(len(all)) != rest {
			return fmt.Errorf("it is an array of %d (%v), want %s", len(all), err, rest)
		}
		return nil
	case "item-type":
		if got := a.header.Get("x-ms-item-type"); got != rest {
			return fmt.Errorf("x-ms-item-type is %q, want %q", got, rest)
		}
		return nil
	case "error":
		return a.isError(r, rest)
	case "keep":
		name, path, _ := strings.Cut(rest, " = ")
		if p.values.kept[name] = a.text(path); p.values.kept[name] == "" {
			return fmt.Errorf("there is no %s to keep", path)
		}
		return nil
	case "etag":
		if rest == "" {
			return a.hasETag()
		}
	}
	path, text, ok := strings.Cut(line, " = ")
	if !ok {
		return fmt.Errorf("what does %q mean?", line)
	}
	return a.equal(path, p.fill(t, text))
}

// hasETag checks that the etag of the body is in the header, quoted there.
func (a answer) hasETag() error {
	inBody := a.text("etag")
	if got := a.header.Get("ETag"); inBody == "" || got != `"`+inBody+`"` {
		return fmt.Errorf("the header ETag is %s, and the body's etag is %s", got, inBody)
	}
	return nil
}

// isError checks the shape in which the SDKs look for the name of an error:
// Message is "ErrorCode:NAME;text". Errors of direct methods, other than that
// of a device that is not registered, hold a JSON document there.
func (a answer) isError(r row, name string) error {
	message, _ := a.at("Message")
	text, _ := message.(string)
	if strings.HasPrefix(text, "ErrorCode:"+name+";") {
		if _, there := a.at("ExceptionMessage"); !there {
			return fmt.Errorf("ExceptionMessage is missing")
		}
		return nil
	}
	var inner struct{ ErrorCode int }
	if strings.Contains(r.target, "/methods") && json.Unmarshal([]byte(text), &inner) == nil && iothub.Code(inner.ErrorCode).String() == name {
		return nil
	}
	return fmt.Errorf("it is not the error %s", name)
}
