package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"latchd/iothub"
)

// maxStaleTwins is how often in a row the hub may answer with a twin that is
// older than a notification which came before it.
const maxStaleTwins = 5

// twinState is what a session knows of its twin and of its requests about it.
type twinState struct {
	wanted  bool         // the whole twin is to be asked for
	request *twinRequest // the one that is not answered yet; nil: none is
	overdue *time.Timer  // of request
	retry   *time.Timer  // of the next patch, after the hub asked for a pause

	desired iothub.Section
	newest  int64 // the highest desired version heard of in this session
	stale   int   // twins in a row that were older than newest
}

// twinRequest is a GET, or a patch for the reported section.
type twinRequest struct {
	id   string
	kind iothub.TopicKind
}

func newTwinState() twinState {
	return twinState{overdue: stoppedTimer(), retry: stoppedTimer()}
}

func stoppedTimer() *time.Timer {
	t := time.NewTimer(time.Hour)
	t.Stop()
	return t
}

func (t *twinState) stopTimers() {
	t.overdue.Stop()
	t.retry.Stop()
}

// exchange sends the next twin request, if one is due and none is open. With
// one at a time an answer never speaks of a state that another request of
// ours has changed since.
func (s *session) exchange() {
	if s.twin.request != nil || s.leaving != nil || !s.isSubscribed {
		return
	}
	if s.twin.wanted {
		s.ask(iothub.TopicTwinGet, nil)
		return
	}
	next := s.client.reports.next(time.Now())
	switch {
	case next.pause > 0:
		s.twin.retry.Reset(next.pause)
	case next.unknown:
		s.twin.wanted = true
		s.ask(iothub.TopicTwinGet, nil)
	case next.patch != nil:
		s.ask(iothub.TopicReported, next.patch)
	}
}

// ask publishes a twin request. QoS 0 will do: the answer is the
// acknowledgement.
func (s *session) ask(kind iothub.TopicKind, patch map[string]any) {
	var body []byte
	if patch != nil {
		body, _ = json.Marshal(patch) // a document of package iothub always marshals
	}
	r := &twinRequest{id: s.client.nextRequestID(), kind: kind}
	s.twin.request = r
	s.twin.overdue.Reset(answerTimeout)
	topic := iothub.Topic{Kind: kind, RequestID: r.id}.String()
	go func() {
		if err := s.send(topic, body); err != nil {
			s.fail(err)
		}
	}()
}

// twinOverdue acts on a request without an answer.
func (s *session) twinOverdue() error {
	r := s.twin.request
	s.twin.request = nil
	switch {
	case r == nil:
		return nil
	case r.kind == iothub.TopicTwinGet:
		return fmt.Errorf("the hub did not answer the request for the twin within %v", answerTimeout)
	}
	s.client.log.Warn("the hub did not answer a patch of the reported properties", "after", answerTimeout)
	s.client.reports.unanswered(time.Now())
	return nil
}

// twinAnswered takes the answer to a twin request.
func (s *session) twinAnswered(t iothub.Topic, body []byte) {
	r := s.twin.request
	if r == nil || t.RequestID != r.id {
		s.client.log.Debug("an answer about the twin came too late", "requestId", t.RequestID)
		return
	}
	s.twin.request = nil
	s.twin.overdue.Stop()
	if r.kind == iothub.TopicReported {
		s.patchAnswered(t.Status, body)
		return
	}
	if err := s.twinFetched(t.Status, body); err != nil {
		s.fail(fmt.Errorf("reading the twin: %w", err))
	}
}

// patchAnswered acts on the answer to a patch of the reported section.
func (s *session) patchAnswered(status int, body []byte) {
	if status == http.StatusOK || status == http.StatusNoContent {
		s.client.news.reported(s.client.reports.accepted())
		return
	}
	s.client.reports.rejected(time.Now(), iothub.DecodeError(status, "", body))
}

// twinFetched takes the whole twin. The first one brings the session up.
func (s *session) twinFetched(status int, body []byte) error {
	if status != http.StatusOK {
		return iothub.DecodeError(status, "", body)
	}
	twin, err := iothub.ParseTwin(body)
	if err != nil {
		return err
	}
	if twin.Desired.Version < s.twin.newest {
		// Overtaken by a notification: ask once more.
		if s.twin.stale++; s.twin.stale >= maxStaleTwins {
			return errors.New("the hub's answers stay behind its own notifications")
		}
		return nil
	}
	s.twin.wanted, s.twin.stale = false, 0
	s.twin.desired = twin.Desired
	s.twin.newest = twin.Desired.Version
	s.client.reports.fetched(twin.Reported.Properties)
	if s.upAt.IsZero() {
		s.upAt = time.Now()
		s.cameUp()
	}
	s.client.news.reported(twin.Reported.Properties)
	s.client.news.desired(s.twin.desired)
	return nil
}

// cameUp lets messages in and tells that the device is connected.
func (s *session) cameUp() {
	if s.leaving != nil { // told to stop meanwhile
		return
	}
	s.client.setSession(s)
	if s.client.news.connection(true, nil) {
		s.client.log.Info("connected to the hub", "host", s.client.connection.HostName, "device", s.client.connection.DeviceID)
	}
}

// desiredChanged takes a notification: a patch that raises the version of the
// desired section by one. Any other version above the present one means that
// a patch was missed; the whole twin is asked for then.
func (s *session) desiredChanged(body []byte) {
	patch, err := iothub.ParseDesiredPatch(body)
	if err != nil {
		s.client.log.Warn("a change of the desired properties cannot be read; asking for the twin", "error", err)
		s.twin.wanted = true
		return
	}
	s.twin.newest = max(s.twin.newest, patch.Version)
	have := s.twin.desired.Version
	switch {
	case s.upAt.IsZero() || s.twin.wanted:
		// The twin that is being asked for will show it.
	case patch.Version <= have:
		s.client.log.Debug("a change of the desired properties is known already", "version", patch.Version)
	case patch.Version == have+1:
		s.twin.desired = iothub.Section{
			Version:    patch.Version,
			Properties: iothub.Merge(s.twin.desired.Properties, patch.Properties),
		}
		s.client.news.desired(s.twin.desired)
	default:
		s.client.log.Info("changes of the desired properties were missed; asking for the twin", "have", have, "got", patch.Version)
		s.twin.wanted = true
	}
}
