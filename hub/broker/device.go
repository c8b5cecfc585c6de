package broker

import (
	"context"
	"errors"
	"time"

	"latchd/iothub"
)

// device is what the broker remembers about one device while anybody needs it.
// Its fields are guarded by the Broker's mu.
type device struct {
	id       string
	refs     int           // who needs it: sessions, CONNECTs in progress, waiting calls
	session  *session      // nil while none is attached
	arrivals uint64        // authenticated CONNECTs so far; the newest wins
	epoch    uint64        // raised by Disconnect: what was authenticated before counts no more
	changed  chan struct{} // closed, and replaced, when a session has become ready for more

	// turn is held by the connection that may speak to the Backend about this
	// device, from before its session is attached until after its last word.
	turn chan struct{}
}

// hold finds or makes the record of a device; release gives it back.
func (b *Broker) hold(id string) *device {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.devices[id]
	if d == nil {
		d = &device{id: id, changed: make(chan struct{}), turn: make(chan struct{}, 1)}
		b.devices[id] = d
	}
	d.refs++
	return d
}

func (b *Broker) release(d *device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d.refs--; d.refs == 0 {
		delete(b.devices, d.id)
	}
}

// session gives the device's session, nil if it has none.
func (b *Broker) session(id string) *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	if d := b.devices[id]; d != nil {
		return d.session
	}
	return nil
}

// Connected tells whether the device is connected. It never blocks.
func (b *Broker) Connected(deviceID string) bool {
	s := b.session(deviceID)
	return s != nil && !s.isOver()
}

// ConnectedCount is the number of connected devices. It never blocks.
func (b *Broker) ConnectedCount() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.connected
}

// Disconnect closes the device's connection, and has a CONNECT that is being
// checked checked again: call it after its key was changed or it was disabled
// or deleted. It does not wait and never blocks.
func (b *Broker) Disconnect(deviceID string) {
	if s := b.revoke(deviceID); s != nil {
		s.close("the hub has disconnected it")
	}
}

// ForgetSession is Disconnect for a device that was deleted: its filters are
// dropped too, so that a device of the same name begins anew. With no session
// open it calls Backend.SaveSubscriptions, whose error (the device is gone) is
// not one here.
func (b *Broker) ForgetSession(deviceID string) {
	s := b.revoke(deviceID)
	if s != nil && s.forget() {
		s.close("the device was deleted")
		return
	}
	if err := b.cfg.Backend.SaveSubscriptions(deviceID, nil); err != nil {
		b.cfg.Log.Debug("the filters of a deleted device could not be dropped", "device", deviceID, "err", err)
	}
}

func (b *Broker) revoke(id string) *session {
	b.mu.Lock()
	defer b.mu.Unlock()
	d := b.devices[id]
	if d == nil {
		return nil
	}
	d.epoch++
	return d.session
}

var (
	errSuperseded = errors.New("a newer connection of the device came")
	errRevoked    = errors.New("the device was disconnected while its CONNECT was checked")
	errBusy       = errors.New("the device's older connection did not end in time")
)

// attach makes s the session of its device, after closing the one before and
// waiting for its last word, so that what the older connection still had under
// way (a report, a will, "disconnected") cannot come after the newer one's.
// epoch is the device's as it was before s was authenticated.
func (b *Broker) attach(s *session, epoch uint64) error {
	d := s.device
	b.mu.Lock()
	d.arrivals++
	mine, older := d.arrivals, d.session
	b.mu.Unlock()
	if older != nil {
		older.close(errSuperseded.Error())
	}
	patience := time.NewTimer(b.cfg.ConnectTimeout)
	defer patience.Stop()
	select {
	case d.turn <- struct{}{}:
	case <-patience.C:
		return errBusy
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var err error
	switch {
	case d.arrivals != mine:
		err = errSuperseded
	case d.epoch != epoch:
		err = errRevoked
	default:
		d.session = s
		b.connected++
		return nil
	}
	<-d.turn
	return err
}

// detach undoes attach, after the last word.
func (b *Broker) detach(s *session) {
	b.mu.Lock()
	s.device.session = nil
	b.connected--
	b.mu.Unlock()
	<-s.device.turn
}

// announce wakes those who wait for a device to be ready for more.
func (b *Broker) announce(d *device) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(d.changed)
	d.changed = make(chan struct{})
}

// await waits until the device is connected and subscribed to methods, or
// until the deadline: then it gives nil. With a deadline that has passed it
// looks once.
func (b *Broker) await(ctx context.Context, d *device, deadline <-chan time.Time) (*session, error) {
	for {
		b.mu.Lock()
		s, changed := d.session, d.changed
		b.mu.Unlock()
		if s != nil && s.accepts(iothub.FilterMethods) {
			return s, nil
		}
		select {
		case <-changed:
		case <-deadline:
			return nil, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}
