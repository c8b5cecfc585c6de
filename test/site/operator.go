package site

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"latchd/iothub"
)

// Request is a request of the service API as an SDK sends it.
func (s *Site) Request(verb, path, body string, headers ...string) (status int, answer any) {
	s.Helper()
	status, answer, err := s.TryRequest(context.Background(), verb, path, body, headers...)
	if err != nil {
		s.Fatal(err)
	}
	return status, answer
}

// TryRequest is Request where the hub may be away, or die before it has
// answered. It may be called from any goroutine.
func (s *Site) TryRequest(ctx context.Context, verb, path, body string, headers ...string) (status int, answer any, err error) {
	host, port := iothub.SplitHostPort(s.Service.HostName)
	mark := "?"
	if strings.Contains(path, mark) {
		mark = "&"
	}
	url := fmt.Sprintf("https://%s:%s%s%sapi-version=2021-04-12", host, port, path, mark)
	req, err := http.NewRequestWithContext(ctx, verb, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", iothub.NewSAS(s.Service.SharedAccessKey, s.Service.HostName, time.Now().Add(time.Hour), s.Service.SharedAccessKeyName))
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := s.client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, nil, fmt.Errorf("%s %s: %w", verb, path, err)
	}
	if len(text) > 0 {
		if answer, err = iothub.DecodeJSON(text); err != nil {
			return 0, nil, fmt.Errorf("%s %s answered %q: %w", verb, path, text, err)
		}
	}
	return res.StatusCode, answer, nil
}

// Object is a request that must succeed, and its answer.
func (s *Site) Object(verb, path, body string) map[string]any {
	s.Helper()
	status, answer := s.Request(verb, path, body)
	doc, ok := answer.(map[string]any)
	if status != http.StatusOK || !ok {
		s.Fatalf("%s %s: status %d, %v", verb, path, status, answer)
	}
	return doc
}

// Twin is the device twin.
func (s *Site) Twin(id string) map[string]any {
	s.Helper()
	return s.Object("GET", "/twins/"+id, "")
}

// Reported is a value of the twin's reported properties; nil if it is not
// there.
func (s *Site) Reported(id string, path ...string) any {
	s.Helper()
	return At(s.Twin(id), append([]string{"properties", "reported"}, path...)...)
}

// At finds a member by its path; nil if it is not there.
func At(v any, path ...string) any {
	for _, name := range path {
		m, _ := v.(map[string]any)
		v = m[name]
	}
	return v
}

// Invoke calls a method and gives the device's status and payload.
func (s *Site) Invoke(id, method, payload string) (status string, answer map[string]any) {
	s.Helper()
	doc := s.Object("POST", "/twins/"+id+"/methods", fmt.Sprintf(
		`{"methodName":%q,"payload":%s,"responseTimeoutInSeconds":30,"connectTimeoutInSeconds":10}`, method, payload))
	answer, _ = doc["payload"].(map[string]any)
	return fmt.Sprint(doc["status"]), answer
}

// AwaitJob waits for the end of a job and gives it.
func (s *Site) AwaitJob(id string) map[string]any {
	s.Helper()
	var job map[string]any
	s.Await("job "+id+" ends", func() bool {
		job = s.Object("GET", "/jobs/v2/"+id, "")
		return job["status"] == "completed" || job["status"] == "failed"
	})
	return job
}
