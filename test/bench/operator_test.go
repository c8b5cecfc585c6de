package bench

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"latchd/iothub"
	"latchd/test/site"
)

// operator calls direct methods over one TLS connection that stays open. It
// writes its requests and reads the answers itself: an HTTP client with its
// pool and its goroutines would be a tenth of every figure.
type operator struct {
	conn  *tls.Conn
	in    *bufio.Reader
	out   *bufio.Writer
	base  string
	token string
}

func newOperator(s *site.Site) *operator {
	pem, err := os.ReadFile(s.Path("hub/ca.pem"))
	if err != nil {
		s.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	conn, err := tls.Dial("tcp", s.Service.HostName, &tls.Config{RootCAs: roots})
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { conn.Close() })
	return &operator{
		conn: conn, in: bufio.NewReader(conn), out: bufio.NewWriter(conn),
		base:  "https://" + s.Service.HostName + "/twins/",
		token: iothub.NewSAS(s.Service.SharedAccessKey, s.Service.HostName, time.Now().Add(24*time.Hour), s.Service.SharedAccessKeyName),
	}
}

// call calls a method, waits up to half a minute for the device to come, and
// gives the time until the whole answer was read. An answer that is not the
// device's 200 is an error.
func (o *operator) call(device, method, payload string) (took time.Duration, answer []byte, err error) {
	body := fmt.Sprintf(`{"methodName":%q,"payload":%s,"responseTimeoutInSeconds":30,"connectTimeoutInSeconds":30}`, method, payload)
	req, err := http.NewRequest("POST", o.base+device+"/methods?api-version="+iothub.APIVersion, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", o.token)
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	began := time.Now()
	if err := errors.Join(req.Write(o.out), o.out.Flush()); err != nil {
		return 0, nil, err
	}
	res, err := http.ReadResponse(o.in, req)
	if err != nil {
		return 0, nil, err
	}
	text, err := io.ReadAll(res.Body)
	took = time.Since(began)
	res.Body.Close()
	if err != nil {
		return 0, nil, fmt.Errorf("calling %s on %s: %w", method, device, err)
	}
	var result struct {
		Status  int
		Payload json.RawMessage
	}
	if err := json.Unmarshal(text, &result); err != nil || res.StatusCode != http.StatusOK || result.Status != http.StatusOK {
		return 0, nil, fmt.Errorf("calling %s on %s: %s: %.300s", method, device, res.Status, text)
	}
	return took, result.Payload, nil
}
