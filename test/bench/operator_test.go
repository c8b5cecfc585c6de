package bench

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"latchd/iothub"
	"latchd/test/site"
)

// operator calls direct methods over one TLS connection, as a back end does.
type operator struct {
	client *http.Client
	base   string
	token  string
}

func newOperator(s *site.Site) *operator {
	pem, err := os.ReadFile(s.Path("hub/ca.pem"))
	if err != nil {
		s.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	host, port := iothub.SplitHostPort(s.Service.HostName)
	return &operator{
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
		base:   "https://" + host + ":" + port + "/twins/",
		token:  iothub.NewSAS(s.Service.SharedAccessKey, s.Service.HostName, time.Now().Add(24*time.Hour), s.Service.SharedAccessKeyName),
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
	res, err := o.client.Do(req)
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
