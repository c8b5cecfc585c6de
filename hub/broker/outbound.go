package broker

import (
	"net"
	"time"
)

// What goes out to a device waits in its link's queue. Mochi would write under
// a lock, and to a client that does not read hold that lock as long as TCP is
// patient, with everybody hanging who wants to tell the client something. Here
// the queue is bounded, and who lets it overflow is disconnected.

// frame is one packet on its way out. The link's mu guards state and end.
type frame struct {
	bytes []byte
	state frameState
	end   int64 // once written: the bytes that TCP had been given then
}

type frameState int

const (
	frameQueued frameState = iota
	frameWriting
	frameWritten
	frameRecalled
)

// offer queues a packet for a client that may not be reading. False means that
// it was not queued: the connection is closing, or is closed now because too
// much has piled up.
func (k *link) offer(f *frame) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closing {
		return false
	}
	if k.queued > 0 && k.queued+len(f.bytes) > k.broker.cfg.MaxQueued {
		k.abortLocked()
		return false
	}
	k.pushLocked(f)
	return true
}

// push queues a packet that answers the client's own, after waitRoom.
func (k *link) push(f *frame) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closing {
		return false
	}
	k.pushLocked(f)
	return true
}

func (k *link) pushLocked(f *frame) {
	k.queue = append(k.queue, f)
	k.queued += len(f.bytes)
	k.startLocked()
}

func (k *link) startLocked() {
	if !k.draining {
		k.draining = true
		go k.drain()
	}
}

// waitRoom waits until less than the bound is queued. It is for the goroutine
// that reads: a client that asks faster than it listens is not read from.
func (k *link) waitRoom() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for !k.closing && k.queued >= k.broker.cfg.MaxQueued {
		k.room.Wait()
	}
	if k.closing {
		return net.ErrClosed
	}
	return nil
}

// drain writes the queue out and ends when it is empty, so that an idle
// connection costs no goroutine for writing.
func (k *link) drain() {
	for {
		f := k.next()
		if f == nil {
			return
		}
		_ = k.tcp.SetWriteDeadline(time.Now().Add(k.broker.cfg.WriteTimeout))
		_, err := k.tls.Write(f.bytes)
		k.wrote(f, err)
	}
}

// next takes a frame from the queue. With none left it ends draining, and the
// connection if that is closing.
func (k *link) next() *frame {
	k.mu.Lock()
	if !k.dead && len(k.queue) > 0 {
		defer k.mu.Unlock()
		f := k.queue[0]
		k.queue[0], k.queue = nil, k.queue[1:]
		k.queued -= len(f.bytes)
		k.room.Broadcast()
		f.state = frameWriting
		return f
	}
	k.queue = nil
	k.draining = false
	closing, dead := k.closing, k.dead
	k.mu.Unlock()
	if closing && !dead {
		_ = k.tls.Close() // says so to the client first; bounded by lingerTimeout
	}
	if closing {
		k.finish()
	}
	return nil
}

func (k *link) wrote(f *frame, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err != nil { // TLS cannot go on after half a record
		k.abortLocked()
		return
	}
	f.state, f.end = frameWritten, k.tcp.written.Load()
}

// recall makes sure that a frame does not arrive from now on. If it is still
// queued it is taken out; if it is on its way, and the client's system has not
// acknowledged all of it, the connection is reset, which drops what is unsent
// and ends retransmission. What has been acknowledged has arrived, though the
// client may not have read it yet; that is for the client to notice.
func (k *link) recall(f *frame) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch f.state {
	case frameQueued:
		for i, q := range k.queue {
			if q == f {
				k.queue = append(k.queue[:i:i], k.queue[i+1:]...)
				k.queued -= len(f.bytes)
				k.room.Broadcast()
				break
			}
		}
	case frameWriting:
		k.abortLocked()
	case frameWritten:
		// Read in this order, bytes that are written meanwhile can only make
		// it look less acknowledged than it is.
		written := k.tcp.written.Load()
		if pending, known := unacknowledged(k.tcp.Conn); known && written-pending < f.end {
			k.abortLocked()
		}
	}
	f.state = frameRecalled
}
