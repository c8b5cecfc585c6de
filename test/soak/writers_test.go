package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"

	"latchd/test/site"
)

// twinWriter counts up in a twin that another one writes too: the same number
// in two tags and a desired property, in one patch, with the etag that it read.
type twinWriter struct {
	*load
	key string

	mu        sync.Mutex // guards the fields below
	confirmed int64      // the hub has acknowledged it
	sent      int64      // the hub may have it
}

func (w *twinWriter) write(ctx context.Context) {
	for ctx.Err() == nil {
		twin, held, ok := w.read(ctx)
		if !ok {
			continue
		}
		w.mu.Lock()
		w.confirmed, w.sent = held, held+1 // read is as good as acknowledged
		w.mu.Unlock()
		body := fmt.Sprintf(`{"tags":{%[1]q:{"x":%[2]d,"y":%[2]d}},"properties":{"desired":{%[1]q:%[2]d}}}`, w.key, held+1)
		status, _ := w.send(ctx, "PATCH", "/twins/shared", body, "If-Match", fmt.Sprintf("%q", site.At(twin, "etag")))
		w.mu.Lock()
		switch status {
		case 200:
			w.confirmed = held + 1
		case 412: // the other one was quicker, so this one is not written
			w.sent = held
		case 0:
		default:
			w.Errorf("PATCH of the shared twin: %d", status)
		}
		w.mu.Unlock()
	}
}

// read reads the twin and this writer's number in it, which must be whole and
// one that the hub may have.
func (w *twinWriter) read(ctx context.Context) (twin any, held int64, ok bool) {
	before := w.twins.last("shared")
	w.mu.Lock()
	confirmed := w.confirmed
	w.mu.Unlock()
	status, twin := w.send(ctx, "GET", "/twins/shared", "")
	if status != 200 {
		return nil, 0, false
	}
	w.mu.Lock()
	sent := w.sent
	w.mu.Unlock()
	if problem := w.twins.look("shared", before, twin); problem != "" {
		w.Error(problem)
	}
	x, y := number(site.At(twin, "tags", w.key, "x")), number(site.At(twin, "tags", w.key, "y"))
	held = number(site.At(twin, "properties", "desired", w.key))
	if x != held || y != held {
		w.Errorf("a patch is half applied: tags %d and %d, desired %d", x, y, held)
	}
	if held < confirmed || held > sent {
		w.Errorf("twin writer %s: %d was acknowledged and %d sent, the hub has %d", w.key, confirmed, sent, held)
	}
	return twin, held, true
}

func (w *twinWriter) check() {
	w.Await("the shared twin is read", func() bool {
		_, _, ok := w.read(context.Background())
		return ok
	})
}

func (w *twinWriter) finish() { w.check() }

// registrar creates and deletes devices.
type registrar struct {
	*load

	mu    sync.Mutex // guards the fields below
	order []string
	known map[string]*registered
}

// registered is what is known of a device.
type registered struct {
	exists, sure bool // exists is what the hub acknowledged, if sure
	key          string
}

func (w *registrar) write(ctx context.Context) {
	random := rand.New(rand.NewPCG(w.figures.seed, 2))
	for n := 0; ctx.Err() == nil; n++ {
		id := fmt.Sprintf("reg-%d", n)
		r := &registered{}
		w.mu.Lock()
		w.order, w.known[id] = append(w.order, id), r
		w.mu.Unlock()
		status, created := w.send(ctx, "PUT", "/devices/"+id, fmt.Sprintf(`{"deviceId":%q}`, id))
		w.note(r, status, true, created)
		if status == 200 && random.IntN(2) == 0 {
			w.note(r, -1, true, nil)
			status, _ = w.send(ctx, "DELETE", "/devices/"+id, "", "If-Match", "*")
			w.note(r, status, false, nil)
		}
	}
}

// note notes what became of a write; -1 is one that is about to be sent.
func (w *registrar) note(r *registered, status int, exists bool, created any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch status {
	case 200, 204:
		r.exists, r.sure = exists, true
		if exists {
			r.key, _ = site.At(created, "authentication", "symmetricKey", "primaryKey").(string)
		}
	case 0, -1:
		r.sure = false
	default:
		w.Errorf("registry write: %d, %v", status, created)
	}
}

// check looks at the last devices. The others it has looked at before.
func (w *registrar) check() {
	w.mu.Lock()
	order := append([]string(nil), w.order[max(0, len(w.order)-4):]...)
	w.mu.Unlock()
	for _, id := range order {
		w.checkDevice(id)
	}
}

func (w *registrar) finish() {
	for _, id := range w.order {
		w.checkDevice(id)
	}
}

// checkDevice compares the hub with what was known before the question and is
// known after it.
func (w *registrar) checkDevice(id string) {
	w.mu.Lock()
	before := *w.known[id]
	w.mu.Unlock()
	inRegistry, device := w.get("/devices/" + id)
	inTwins, _ := w.get("/twins/" + id)
	w.mu.Lock()
	after := *w.known[id]
	w.mu.Unlock()
	if before != after || !before.sure && w.isLast(id) {
		return // it was being written
	}
	if inRegistry != inTwins {
		w.Errorf("device %s is half there: registry %d, twin %d", id, inRegistry, inTwins)
	}
	if want := map[bool]int{true: 200, false: 404}[before.exists]; before.sure && inRegistry != want {
		w.Errorf("device %s was acknowledged as %+v; the registry says %d", id, before, inRegistry)
	}
	if key := site.At(device, "authentication", "symmetricKey", "primaryKey"); inRegistry == 200 && before.sure && key != before.key {
		w.Errorf("device %s has another key than the hub gave", id)
	}
}

func (w *registrar) isLast(id string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.order[len(w.order)-1] == id
}
