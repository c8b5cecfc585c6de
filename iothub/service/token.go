package service

import (
	"sync"
	"time"

	"latchd/iothub"
)

const (
	// tokenLife is what the official SDKs sign for.
	tokenLife = time.Hour
	// renewAt is the part of its life after which a token is replaced, so
	// that a call never leaves with one about to end on the way.
	renewAt = 0.8
)

// token signs for the policy and keeps the signature while it is good.
type token struct {
	key      iothub.Key
	resource string // the host name exactly as in the connection string, port included
	policy   string

	mu    sync.Mutex // guards what follows
	text  string
	renew time.Time
}

func (t *token) get(now time.Time) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	// A clock that was set back must not keep a token of the future alive.
	early := t.renew.Add(-time.Duration(renewAt * float64(tokenLife)))
	if t.text == "" || !now.Before(t.renew) || now.Before(early) {
		t.text = iothub.NewSAS(t.key, t.resource, now.Add(tokenLife), t.policy)
		t.renew = now.Add(time.Duration(renewAt * float64(tokenLife)))
	}
	return t.text
}
