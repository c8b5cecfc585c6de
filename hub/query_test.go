package hub_test

import (
	"fmt"
	"strings"
	"testing"

	"latchd/iothub"
)

func TestQuery(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 3 {
		id := fmt.Sprintf("d%d", i)
		r.addDevice(id)
		r.call("PATCH", "/twins/"+id, fmt.Sprintf(`{"tags":{"site":"s%d"},"properties":{"desired":{"building":%d}}}`, i%2, 43+i)).want(200)
	}
	r.call("PUT", "/devices/d2", `{"status":"disabled"}`, `If-Match: "*"`).want(200)
	ask := func(query string) reply {
		return r.call("POST", "/devices/query", toJSON(t, map[string]string{"query": query}))
	}
	for _, row := range []struct{ query, itemType, ids string }{
		{"SELECT * FROM devices", "Twin", "d0 d1 d2"},
		{"select * from devices", "Twin", "d0 d1 d2"},
		{"SELECT * FROM devices WHERE DeviceId in ['d0','d2']", "Twin", "d0 d2"},
		{"SELECT * FROM devices WHERE tags.site = 's0' AND properties.desired.building > 43", "Twin", "d2"},
		{"SELECT * FROM devices WHERE status = 'enabled' OR tags.site = 's9'", "Twin", "d0 d1"},
		{"SELECT * FROM devices WHERE connectionState = 'Disconnected' AND properties.desired.$version = 2 AND version = 3 AND etag = 'AAAAAAAAAAI='", "Twin", "d0 d1 d2"},
		{"SELECT * FROM devices WHERE properties.desired.$metadata.building.$lastUpdatedVersion = 2", "Twin", "d0 d1 d2"},
		{"SELECT deviceId FROM devices WHERE capabilities.iotEdge = false", "Raw", "d0 d1 d2"},
		{"SELECT * FROM devices WHERE deviceId = 'none'", "Twin", ""},
		{"SELECT * FROM devices.jobs", "DeviceJob", ""},
	} {
		a := ask(row.query).want(200)
		if got := a.header.Get("x-ms-item-type"); got != row.itemType {
			t.Errorf("%s: x-ms-item-type %q", row.query, got)
		}
		var ids []string
		for _, d := range a.list() {
			ids = append(ids, d["deviceId"].(string))
		}
		if got := strings.Join(ids, " "); got != row.ids {
			t.Errorf("%s: %q, want %q", row.query, got, row.ids)
		}
		if row.ids == "" && string(a.body) != "[]" {
			t.Errorf("nothing is %s", a.body)
		}
	}
	a := ask("SELECT * FROM devices WHERE deviceId='d1'").want(200)
	if twin := r.call("GET", "/twins/d1", ""); string(a.body) != "["+string(twin.body)+"]" {
		t.Errorf("a query gives %s\nGET gives %s", a.body, twin.body)
	}
	for query, want := range map[string]string{
		"SELECT COUNT() AS numberOfDevices FROM devices":                           `[{"numberOfDevices":3}]`,
		"SELECT tags.site AS s, COUNT() AS n FROM devices GROUP BY tags.site":      `[{"s":"s0","n":2},{"s":"s1","n":1}]`,
		"SELECT properties.desired.building AS b FROM devices WHERE deviceId='d0'": `[{"b":43}]`,
	} {
		a := ask(query).want(200)
		if string(a.body) != want || a.header.Get("x-ms-item-type") != "Raw" {
			t.Errorf("%s: %s", query, a.body)
		}
	}
	e := ask("SELEKT * FRUM devices").fails(iothub.ArgumentInvalid)
	if !strings.Contains(e.Message, "Line 1:1") {
		t.Error(e.Message)
	}
	ask(strings.Repeat("x", 8193)).fails(iothub.ArgumentInvalid)
	r.call("POST", "/devices/query", `{}`).fails(iothub.ArgumentInvalid)
	r.call("POST", "/devices/query", `{"Query":"SELECT * FROM devices"}`).want(200)
	ask("SELECT * FROM devices WHERE deviceId = 'd0'; DROP TABLE devices").fails(iothub.ArgumentInvalid)
}

func TestQueryPages(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 5 {
		r.addDevice(fmt.Sprintf("d%d", i))
	}
	for _, row := range []struct{ query, want string }{
		{"SELECT * FROM devices", "d0 d1, d2 d3, d4"},
		{"SELECT deviceId FROM devices WHERE deviceId <> 'd3'", "d0 d1, d2 d4"},
		{"SELECT TOP 3 * FROM devices", "d0 d1, d2"},
	} {
		var pages []string
		headers := []string{"x-ms-max-item-count: 2"}
		for {
			a := r.call("POST", "/devices/query", toJSON(t, map[string]string{"query": row.query}), headers...).want(200)
			var ids []string
			for _, d := range a.list() {
				ids = append(ids, d["deviceId"].(string))
			}
			pages = append(pages, strings.Join(ids, " "))
			token, there := a.header["X-Ms-Continuation"]
			if !there {
				break
			}
			headers = []string{"x-ms-max-item-count: 2", "x-ms-continuation: " + token[0]}
		}
		if got := strings.Join(pages, ", "); got != row.want {
			t.Errorf("%s: %q, want %q", row.query, got, row.want)
		}
	}
	for _, h := range []string{"x-ms-max-item-count: 0", "x-ms-max-item-count: many", "x-ms-continuation: ???", "x-ms-continuation: AAAA"} {
		r.call("POST", "/devices/query", `{"query":"SELECT * FROM devices"}`, h).fails(iothub.ArgumentInvalid)
	}
	if n := len(r.call("POST", "/devices/query", `{"query":"SELECT * FROM devices"}`, "x-ms-max-item-count: 1000").want(200).list()); n != 5 {
		t.Error(n)
	}
}
