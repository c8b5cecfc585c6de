package device

import (
	"context"
	"errors"
	"fmt"

	"latchd/iothub"
)

var (
	// ErrUnknownDelivery marks the error of a message that was handed to the
	// connection but not acknowledged: the hub may have it, or not.
	ErrUnknownDelivery = errors.New("delivery unknown")

	// ErrInvalidMessage marks the error of a message that no hub can take, so
	// that sending it again is of no use.
	ErrInvalidMessage = errors.New("invalid message")

	// ErrStopped marks the error of a call that was, or came, too late:
	// [Client.Run] has returned.
	ErrStopped = errors.New("the device client has stopped")
)

// maxTopic is the longest MQTT topic, in bytes. paho would cut a longer one.
const maxTopic = 65535

// Send publishes one telemetry message at QoS 1 and waits for the PUBACK.
// While the device is not connected it waits for a connection. When ctx or
// the session ends before the PUBACK, the error is an [ErrUnknownDelivery];
// an error without that mark means that nothing was sent.
func (c *Client) Send(ctx context.Context, m iothub.Message) error {
	_, err := c.SendAll(ctx, []iothub.Message{m})
	return err
}

// SendAll is Send for several messages. They go out in this order, without one
// waiting for the PUBACK of another; so they should be few. It tells how many of
// them, from the first on, were acknowledged. The error is about the first that
// was not: it and those behind it may have reached the hub or not, unless the
// error is without [ErrUnknownDelivery]: then nothing was sent.
func (c *Client) SendAll(ctx context.Context, messages []iothub.Message) (acknowledged int, err error) {
	out := make([]outgoing, len(messages))
	for i, m := range messages {
		topic, err := eventTopic(c.connection.DeviceID, m)
		if err != nil {
			return 0, fmt.Errorf("sending a message: %w: %w", ErrInvalidMessage, err)
		}
		out[i] = outgoing{topic, m.Body}
	}
	s, err := c.awaitSession(ctx)
	if err != nil {
		return 0, fmt.Errorf("sending a message: %w", err)
	}
	defer s.messages.end()
	acknowledged, err = s.publishAll(ctx, out)
	if err != nil {
		return acknowledged, fmt.Errorf("sending a message: %w: %w", ErrUnknownDelivery, err)
	}
	return acknowledged, nil
}

// awaitSession waits for a session that takes messages, and begins one there.
func (c *Client) awaitSession(ctx context.Context) (*session, error) {
	for {
		s, changed := c.currentSession()
		if s != nil && s.messages.begin() {
			return s, nil
		}
		select {
		case <-changed:
		case <-c.stopped:
			return nil, ErrStopped
		case <-ctx.Done():
			return nil, fmt.Errorf("waiting for the hub: %w", ctx.Err())
		}
	}
}

// eventTopic checks a message and gives its topic. A hub closes the
// connection on a message that it cannot take.
func eventTopic(deviceID string, m iothub.Message) (string, error) {
	size := len(m.Body)
	for name, value := range m.Properties {
		if name == "" {
			return "", errors.New("it has a property without a name")
		}
		size += len(name) + len(value)
	}
	if size > iothub.MaxMessage {
		return "", fmt.Errorf("it has %d bytes; at most %d are allowed", size, iothub.MaxMessage)
	}
	topic := iothub.Topic{Kind: iothub.TopicEvents, DeviceID: deviceID, Properties: m.Properties}.String()
	if len(topic) > maxTopic {
		return "", fmt.Errorf("its properties make a topic of %d bytes; at most %d are allowed", len(topic), maxTopic)
	}
	return topic, nil
}
