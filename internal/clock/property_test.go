package clock

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// Whatever is done to the system clock, by NTP that is right and people who are
// not, a time that is called trusted is right, and does not go back.
func TestTrustedTimeIsRight(t *testing.T) {
	const lives, deeds = 30, 60
	for seed := range uint64(lives) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 0))
			wrong := func() time.Duration {
				scale := []time.Duration{50 * time.Millisecond, time.Second, time.Minute, day, years}[random.IntN(5)]
				return time.Duration(random.Int64N(int64(2*scale))) - scale
			}
			w := newWorld(t, truth.Add(wrong()))
			file := filepath.Join(t.TempDir(), "clock")
			cfg := Config{DateURL: "https://hub.example.net/", File: file}
			c := w.start(cfg)
			var last time.Time
			var log []any
			check := func() {
				synctest.Wait()
				now, isTrusted := c.Read()
				if now.Before(build) {
					t.Errorf("seed %d: %v is before the build; %v", seed, now, log)
				}
				if !isTrusted {
					return
				}
				// A second by the headers, and three that the system clock may differ.
				if off := now.Sub(w.truth()); abs(off) > doubtAbove+2*time.Second {
					t.Errorf("seed %d: the trusted time is off by %v; %v", seed, off, log)
				}
				if now.Before(last) {
					t.Errorf("seed %d: the trusted time went back by %v; %v", seed, last.Sub(now), log)
				}
				last = now
			}
			for range deeds {
				deed := random.IntN(7)
				switch deed {
				case 0:
					w.step(wrong(), false) // by hand
				case 1:
					w.step(0, true) // by NTP
				case 2:
					w.set(func() { w.ntp = w.ntp && random.IntN(2) == 0 }) // NTP falls silent
				case 3:
					w.set(func() { w.hubErr = nil })
				case 4:
					w.set(func() { w.hubErr = errNoHub })
				case 5:
					if random.IntN(5) == 0 {
						c = w.start(cfg) // beside the old one, which does not matter
						last = time.Time{}
					}
				case 6:
					if err := c.Save(); err != nil {
						t.Error(err)
					}
				}
				log = append(log, deed)
				check()
				time.Sleep(time.Duration(random.Int64N(int64(time.Hour))) / time.Duration(1+random.IntN(10_000)))
				check()
			}
		})
	}
}
