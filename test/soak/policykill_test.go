package soak

import (
	"fmt"
	"time"

	"latchd/test/site"
)

// killInPolicy kills the agent while it takes another doorPolicy from the hub.
// The hub keeps the policy, so in the end it is in force.
func (k *killer) killInPolicy() {
	k.Helper()
	unlockTime := time.Duration(1+k.random.IntN(3)) * time.Second
	rest := "locked"
	if k.random.IntN(2) == 0 {
		rest = "unlocked"
	}
	at := time.Duration(k.random.Float64() * 1.3 * float64(k.usually["doorPolicy"]))
	sent := time.Now()
	killed := make(chan struct{})
	go func() {
		defer close(killed)
		time.Sleep(at)
		k.kill()
	}()
	k.Object("PATCH", "/twins/"+k.id, fmt.Sprintf(
		`{"properties":{"desired":{"doorPolicy":{"resting":%q,"unlockTime":%v}}}}`, rest, unlockTime.Seconds()))
	<-killed
	k.checkFiles()
	k.comeBack()
	recovery := time.Since(k.started)
	k.awaitPolicy()
	o := k.observe()
	before, after := k.door, k.door
	after.restUnlocked = rest == "unlocked"
	outcomes := []outcome{{done, after}}
	causes := append(before.timers(k.started), after.timers(k.started)...)
	switch {
	case after.unlocked() == before.unlocked():
	case after.unlocked():
		causes = append(causes,
			cause{what: "the policy", unlocks: true, from: sent, to: k.started},
			cause{what: "the start, which does not know of the policy", from: k.started, to: o.to},
			cause{what: "the policy, confirmed", unlocks: true, from: sent, to: o.to})
	default:
		causes = append(causes, cause{what: "the policy", from: sent, to: o.to})
		// The start finds a locked door that was recorded as open. It cannot
		// tell that from a lockDoor.
		outcomes = append(outcomes, outcome{forgotten, door{base: heldLocked}})
	}
	fits := k.expect(fmt.Sprintf("kill in a doorPolicy (rests %s)", rest), o, causes, outcomes...)
	k.policyTime = unlockTime
	k.figures.pass(recovery, "doorPolicy: "+fits[0])
}

// awaitPolicy waits until the device has acknowledged the doorPolicy that the
// hub wants, if it wants one.
func (k *killer) awaitPolicy() {
	k.Helper()
	desired := site.At(k.Twin(k.id), "properties", "desired")
	wants, _ := site.At(desired, "doorPolicy").(map[string]any)
	if wants == nil {
		return
	}
	k.Await("the doorPolicy is acknowledged", func() bool {
		ack := k.observe().raw["doorPolicy"]
		return fmt.Sprint(site.At(ack, "ac")) == "200" &&
			fmt.Sprint(site.At(ack, "av")) == fmt.Sprint(site.At(desired, "$version")) &&
			fmt.Sprint(site.At(ack, "value", "resting")) == fmt.Sprint(wants["resting"]) &&
			fmt.Sprint(site.At(ack, "value", "unlockTime")) == fmt.Sprint(wants["unlockTime"])
	})
}
