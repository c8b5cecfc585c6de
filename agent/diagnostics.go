package agent

import (
	"context"

	"latchd/agent/health"
)

// parseRunDiagnostics takes the ids of the checks to run in checks; all without
// it.
func parseRunDiagnostics(a *Agent, p *params) action {
	ids := p.texts("checks")
	if err := health.Known(ids); err != nil {
		p.fail("checks", "%s", err)
	}
	return func(ctx context.Context, _ command) answer { return a.runDiagnostics(ctx, ids) }
}

// texts reads a list of texts; an absent one is empty.
func (p *params) texts(key string) []string {
	v := p.values[key]
	if v == nil {
		return nil
	}
	list, ok := v.([]any)
	var texts []string
	for _, entry := range list {
		text, isText := entry.(string)
		ok = ok && isText
		texts = append(texts, text)
	}
	if !ok {
		p.fail(key, "must be a list of texts")
		return nil
	}
	return texts
}

// runDiagnostics answers with the checks that came back in time; the others are
// pending.
func (a *Agent) runDiagnostics(ctx context.Context, ids []string) answer {
	if a.Diagnostics == nil {
		return reply(503, "this device has no self-checks")
	}
	report, err := a.Diagnostics.Run(ctx, ids)
	if err != nil {
		return reply(400, err.Error())
	}
	ans := reply(200, "runDiagnostics called successfully").with("checks", report.Checks)
	if len(report.Pending) > 0 {
		ans.with("pending", report.Pending)
	}
	return ans
}

// Unsaved says why the agent could not write its state; "" if it could. The door's
// own state is not looked at.
func (a *Agent) Unsaved(ctx context.Context) string {
	select {
	case a.changing <- struct{}{}:
		defer a.changing.unlock()
	case <-ctx.Done():
		return "a write to the disk is under way and does not end"
	}
	a.mu.Lock()
	desired := a.desired.unsaved
	a.mu.Unlock()
	switch {
	case a.unsavable != nil:
		return a.unsavable.Error()
	case a.desiredLost != nil:
		return a.desiredLost.Error()
	case a.unsaved:
		return "what became of an operation is not on disk yet"
	case desired:
		return "the desired properties are not on disk yet"
	}
	return ""
}
