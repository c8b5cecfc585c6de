package device

import (
	"context"
	"errors"
	"fmt"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"

	"latchd/iothub"
)

const (
	// answerTimeout is how long the hub may take to acknowledge a
	// subscription or a QoS 1 message, or to answer a twin request. The C SDK
	// gives a twin 60 s; a device that waits longer is not served in time.
	answerTimeout = 30 * time.Second

	// renewGrace is how long a token's renewal waits for methods and messages
	// in flight: as long as IoT Hub waits for a method by default.
	renewGrace = 30 * time.Second
)

// filters are what each session subscribes to, all at QoS 0: the hub shall
// not keep any of it for a session that is away. What was missed of the twin
// the next GET shows, and a method that was missed must not come late.
var filters = map[string]byte{
	iothub.FilterMethods: 0,
	iothub.FilterTwinRes: 0,
	iothub.FilterDesired: 0,
}

// Why a session is left in good order.
var (
	errRenew   = errors.New("the token is to be renewed")
	errStopped = errors.New("the client is stopping")
)

// session is one MQTT connection. Its fields without a comment on locking
// belong to the goroutine in run.
type session struct {
	client *Client
	mqtt   mqtt.Client
	link   *link

	inbox      chan message  // from paho, in order of arrival
	failed     chan error    // why the session is over; the first counts
	subscribed chan error    // the outcome of the subscription
	done       chan struct{} // closed when the session is over
	messages   *gauge        // QoS 1 messages and methods that are not finished

	expires     time.Time       // of the token; zero without one
	untrusted   <-chan struct{} // closes when the clock is trusted; nil: it was, or it did not matter
	connectedAt time.Time       // of CONNACK; zero before
	upAt        time.Time       // of the first twin; zero before

	isSubscribed bool
	leaving      error           // errRenew or errStopped: no new work is begun
	patience     <-chan struct{} // how long leaving may take

	seen requestIDs // of methods
	twin twinState
}

// message is one from the hub.
type message struct {
	mqtt.Message
	early bool // it came before the subscription was acknowledged
}

func newSession(c *Client) *session {
	return &session{
		client:     c,
		inbox:      make(chan message),
		failed:     make(chan error, 1),
		subscribed: make(chan error, 1),
		done:       make(chan struct{}),
		messages:   newGauge(),
		seen:       newRequestIDs(),
		twin:       newTwinState(),
	}
}

// run connects, serves until something ends the session, and tidies up. It
// returns why it ended, never nil.
func (s *session) run(ctx context.Context) error {
	err := s.connect(ctx)
	if err == nil {
		err = s.serve(ctx)
	}
	s.close()
	return err
}

// close ends all waits for the session, then the connection.
func (s *session) close() {
	s.client.setSession(nil)
	s.client.reports.disconnected()
	close(s.done)
	if s.mqtt != nil {
		s.mqtt.Disconnect(uint(disconnectTimeout.Milliseconds()))
	}
	if s.link != nil {
		_ = s.link.Close() // paho has closed it, or never had it
	}
}

// serve is the session's loop. It never waits for the network or a handler:
// both happen in goroutines that report back.
func (s *session) serve(ctx context.Context) error {
	go s.subscribe()
	renew := time.NewTimer(renewAfter)
	defer renew.Stop()
	if s.expires.IsZero() {
		renew.Stop()
	}
	defer s.twin.stopTimers()
	alive := pulse{time.Now()}
	beat := time.NewTicker(pulseEvery)
	defer beat.Stop()
	stop := ctx.Done()
	for {
		s.exchange()
		if s.leaving != nil && s.isIdle() {
			return s.leaving
		}
		var err error
		select {
		case m := <-s.inbox:
			if err = alive.check(); err == nil {
				s.receive(m)
			}
		case <-beat.C:
			if err = alive.beat(); s.leaving == nil && s.isTokenOff() {
				renew.Reset(0)
			}
		case err = <-s.subscribed:
			s.isSubscribed = err == nil
			s.twin.wanted = true
		case err = <-s.failed:
		case <-s.link.closed:
			err = s.whyClosed()
		case <-stop:
			stop = nil
			s.leave(errStopped, s.client.grace.Done())
		case <-renew.C:
			timer, cancel := context.WithTimeout(ctx, renewGrace)
			defer cancel()
			s.leave(errRenew, timer.Done())
		case <-s.patience:
			err = s.leaving
		case <-s.twin.overdue.C:
			err = s.twinOverdue()
		case <-s.twin.retry.C:
		case <-s.client.reports.wake:
		case <-s.messages.zero:
		}
		if err != nil {
			return err
		}
	}
}

// subscribe asks for the methods and the twin, and tells the loop.
func (s *session) subscribe() {
	token := s.mqtt.SubscribeMultiple(filters, nil)
	timer := time.NewTimer(answerTimeout)
	defer timer.Stop()
	select {
	case <-token.Done():
		s.subscribed <- subscribeError(token)
	case <-timer.C:
		s.subscribed <- fmt.Errorf("the subscription was not acknowledged within %v", answerTimeout)
	case <-s.done:
	}
}

func subscribeError(token mqtt.Token) error {
	if err := token.Error(); err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	st, ok := token.(*mqtt.SubscribeToken)
	if !ok {
		return nil
	}
	const refused = 0x80 // MQTT 3.1.1, 3.9.3
	for filter, code := range st.Result() {
		if code >= refused {
			return fmt.Errorf("the hub refused the subscription of %s", filter)
		}
	}
	return nil
}

// leave begins the session's end in good order: nothing new is begun, and
// what is in flight may finish until patience closes.
func (s *session) leave(why error, patience <-chan struct{}) {
	if s.leaving == errStopped { // outweighs a renewal
		return
	}
	if why == errRenew {
		s.client.log.Info("renewing the token", "expires", s.expires.UTC().Format(time.RFC3339))
	}
	s.leaving, s.patience = why, patience
	s.client.setSession(nil)
	s.messages.shut()
}

// isIdle tells whether nothing is in flight.
func (s *session) isIdle() bool { return s.messages.isZero() && s.twin.request == nil }

// receive takes one message from the hub.
func (s *session) receive(m message) {
	t, err := iothub.ParseTopic(m.Topic())
	switch {
	case err != nil:
		// A message to the device that an earlier client of it subscribed to.
		s.client.log.Debug("a message was ignored", "topic", m.Topic(), "why", err)
	case t.Kind == iothub.TopicMethodRequest:
		s.method(t, m)
	case t.Kind == iothub.TopicDesired:
		s.desiredChanged(m.Payload())
	case t.Kind == iothub.TopicTwinResponse:
		s.twinAnswered(t, m.Payload())
	}
}

// fail ends the session because of err. It may be called from any goroutine.
func (s *session) fail(err error) {
	select {
	case s.failed <- err:
	default: // it is over for another reason
	}
}

// whyClosed tells why the connection is gone. paho closes it first and says
// why a little later.
func (s *session) whyClosed() error {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case err := <-s.failed:
		return err
	case <-timer.C:
		return &lostError{errors.New("the connection was closed")}
	}
}

// send sends one message at QoS 0 and waits until it is on its way, or the
// session is over. paho itself waits for the network, as long as one write may
// take; so this is not for the session's loop.
func (s *session) send(topic string, payload []byte) error {
	token := s.mqtt.Publish(topic, 0, false, payload)
	select { // not Wait: a token may never complete when the connection is lost
	case <-token.Done():
		return publishError(token)
	case <-s.done:
		return errSessionOver
	}
}

// publish sends one message at QoS 1 and waits until it is acknowledged, or the
// session is over, or ctx ends. A message that is not acknowledged in time ends
// the session, which is of no use then.
func (s *session) publish(ctx context.Context, topic string, payload []byte) error {
	_, err := s.publishAll(ctx, []outgoing{{topic, payload}})
	return err
}

// outgoing is a message that is to be published.
type outgoing struct {
	topic   string
	payload []byte
}

// publishAll is publish for several messages, which go out in this order and do
// not wait for each other. It tells how many of them, from the first on, were
// acknowledged.
func (s *session) publishAll(ctx context.Context, messages []outgoing) (acknowledged int, err error) {
	outcomes := make(chan error, len(messages))
	go s.follow(ctx, messages, outcomes)
	timer := time.NewTimer(answerTimeout)
	defer timer.Stop()
	for acknowledged < len(messages) {
		select {
		case err := <-outcomes:
			if err != nil {
				return acknowledged, err
			}
			acknowledged++
			timer.Reset(answerTimeout)
		case <-s.done:
			return acknowledged, errSessionOver
		case <-timer.C:
			err := fmt.Errorf("the hub did not acknowledge a message within %v", answerTimeout)
			s.fail(err)
			return acknowledged, err
		case <-ctx.Done():
			return acknowledged, ctx.Err()
		}
	}
	return acknowledged, nil
}

// follow publishes messages one after another and tells the outcome of each, in
// the same order, until the session is over. It is a goroutine of its own because
// paho's Publish itself waits for the network.
func (s *session) follow(ctx context.Context, messages []outgoing, outcomes chan<- error) {
	tokens := make([]mqtt.Token, 0, len(messages))
	for _, m := range messages {
		if ctx.Err() != nil {
			return // nobody listens
		}
		tokens = append(tokens, s.mqtt.Publish(m.topic, 1, false, m.payload))
	}
	for _, token := range tokens {
		select { // as above
		case <-token.Done():
			outcomes <- publishError(token)
		case <-s.done:
			return
		}
	}
}

// publishError is why a message did not go out: only a broken connection fails
// there.
func publishError(token mqtt.Token) error {
	if err := token.Error(); err != nil {
		return fmt.Errorf("publishing: %w", &lostError{err})
	}
	return nil
}

var errSessionOver = errors.New("the session ended first")
