package query

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func TestSelect(t *testing.T) {
	db := fleet(t)
	execute(t, db, "DELETE FROM devices WHERE device_id IN ('x0', 'x1')")
	for _, test := range []struct{ rule, query, want string }{
		{
			"a system field has its canonical name", "SELECT DeviceId, LastActivityTime, CONNECTIONSTATE FROM devices WHERE deviceId = 'a'",
			`{"deviceId":"a","connectionState":"Disconnected"}`,
		},
		{
			"a path is named by its last segment", "SELECT properties.desired.building, tags.site FROM devices WHERE deviceId = 'a'",
			`{"building":43,"site":"lab"}`,
		},
		{
			"an alias names a column", "SELECT properties.reported.door.state AS door, deviceId AS [[my id]] FROM devices WHERE deviceId = 'a'",
			`{"door":"locked","my id":"a"}`,
		},
		{
			"what is undefined is left out", "SELECT deviceId, tags.site FROM devices WHERE deviceId IN ['a','f','G']",
			"{\"deviceId\":\"G\"}\n{\"deviceId\":\"a\",\"site\":\"lab\"}\n{\"deviceId\":\"f\"}",
		},
		{"a row can be empty", "SELECT tags.site FROM devices WHERE deviceId = 'f'", `{}`},
		{
			"any type comes through", "SELECT tags.site, tags.n, tags.on, tags.s, tags.nothing FROM devices WHERE deviceId IN ['a','d','e']",
			`{"site":"lab","n":1,"on":true,"s":"abc","nothing":null}` + "\n" +
				`{"site":1,"n":"1","on":1,"s":["abc"]}` + "\n" +
				`{"site":{"name":"lab"},"n":[1],"on":null,"s":{"abc":1}}`,
		},
		{
			"fields of each type", "SELECT version, status, capabilities.iotEdge, capabilities FROM devices WHERE deviceId = 'G'",
			`{"version":6,"status":"disabled","iotEdge":true,"capabilities":{"iotEdge":true}}`,
		},
		{
			"a section has the fields below it", "SELECT properties.desired FROM devices WHERE deviceId = 'a'",
			`{"desired":{"building":43,"floor":3,"$version":1,"$metadata":{"$lastUpdated":"2026-11-22T02:31:07.1200000Z"}}}`,
		},
		{
			"a prefix is an object", "SELECT properties FROM devices WHERE deviceId = 'd'",
			`{"properties":{"desired":{"$version":1,"$metadata":{"$lastUpdated":"2026-11-22T02:31:07.1200000Z"}},"reported":{"$version":1}}}`,
		},
		{"TOP", "SELECT TOP 2 deviceId FROM devices", "{\"deviceId\":\"G\"}\n{\"deviceId\":\"a\"}"},

		{"COUNT", "SELECT COUNT() AS n FROM devices", `{"n":7}`},
		{"COUNT of nothing", "select count() as numberOfDevices from devices where false", `{"numberOfDevices":0}`},
		{
			"aggregates read numbers", "SELECT SUM(tags.n) AS s, AVG(tags.n) AS a, MIN(properties.desired.building) AS l, MAX(properties.desired.building) AS h FROM devices",
			`{"s":4,"a":1.3333333333333333,"l":43,"h":44}`,
		},
		{
			"MIN and MAX read strings, after numbers", "SELECT MIN(tags.site) AS l, MAX(tags.site) AS h, MAX(deviceId) AS id FROM devices",
			`{"l":1,"h":"office","id":"f"}`,
		},
		{
			"an aggregate of nothing is left out", "SELECT AVG(tags.x) AS a, SUM(tags.site) AS s, MIN(tags.on) AS m FROM devices WHERE deviceId = 'b'",
			`{}`,
		},
		{"nameless aggregates are numbered", "SELECT COUNT(), tags.x, MAX(deviceId) FROM devices WHERE deviceId = 'a' GROUP BY tags.x", `{"$1":1,"$2":"a"}`},
		{
			"GROUP BY", "SELECT properties.reported.door.state AS state, COUNT() AS n FROM devices GROUP BY properties.reported.door.state",
			"{\"n\":5}\n{\"state\":\"locked\",\"n\":1}\n{\"state\":\"unlocked\",\"n\":1}",
		},
		{
			"groups keep types apart, 1 and 1.0 together", "SELECT tags.n, COUNT() AS n2 FROM devices GROUP BY tags.n",
			"{\"n2\":2}\n{\"n\":\"1\",\"n2\":1}\n{\"n\":1,\"n2\":2}\n{\"n\":2,\"n2\":1}\n{\"n\":[1],\"n2\":1}",
		},
		{
			"null and undefined are two groups", "SELECT tags.on, COUNT() AS c FROM devices GROUP BY tags.on",
			"{\"c\":2}\n{\"on\":\"true\",\"c\":1}\n{\"on\":1,\"c\":1}\n{\"on\":false,\"c\":1}\n{\"on\":null,\"c\":1}\n{\"on\":true,\"c\":1}",
		},
		{
			"several groupings, and a field in any spelling", "SELECT Status, capabilities.iotEdge, COUNT() AS n FROM devices GROUP BY devices.status, capabilities.IOTEDGE",
			"{\"status\":\"disabled\",\"iotEdge\":true,\"n\":1}\n{\"status\":\"enabled\",\"iotEdge\":false,\"n\":6}",
		},
		{"a constant field", "SELECT cloudToDeviceMessageCount, COUNT() AS n FROM devices GROUP BY cloudToDeviceMessageCount", `{"cloudToDeviceMessageCount":0,"n":7}`},
		{"GROUP BY without aggregate", "SELECT properties.desired.building FROM devices GROUP BY properties.desired.building", "{}\n{\"building\":43}\n{\"building\":44}"},
		{"grouping by an unknown name", "SELECT nonsense, COUNT() AS n FROM devices GROUP BY nonsense", `{"n":7}`},
		{"TOP of groups", "SELECT TOP 1 COUNT() AS n FROM devices GROUP BY properties.desired.building", `{"n":4}`},
	} {
		t.Run(test.rule, func(t *testing.T) {
			if got := itemsOf(run(t, db, mustParse(t, test.query), Page{})); got != test.want {
				t.Errorf("%s\ngot\n%s\nwant\n%s", test.query, got, test.want)
			}
		})
	}
}

func TestJobs(t *testing.T) {
	db := openDatabase(t)
	for _, r := range [][4]string{
		{"job-1", "a", "completed", `{"deviceMethodResponse":{"status":200,"payload":{"Response":"lockDoor called successfully"}}}`},
		{"job-1", "b", "failed", `{"deviceMethodResponse":{"status":404,"payload":{"Response":"Unknown method"}}}`},
		{"job-2", "a", "completed", `null`},
	} {
		execute(t, db, "INSERT INTO job_devices VALUES (?, ?, ?, ?)", r[0], r[1], r[2], r[3])
	}
	for _, test := range []struct{ query, want string }{
		{"SELECT * FROM devices.jobs", "job-1/a job-1/b job-2/a"},
		{"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'job-1'", "job-1/a job-1/b"},
		{"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'job-1' AND devices.jobs.status='failed'", "job-1/b"},
		{"select * from Devices.Jobs where devices.jobs.deviceId='a' and jobid = 'job-2'", "job-2/a"},
		{"SELECT * FROM devices.jobs WHERE devices.jobs.outcome.deviceMethodResponse.status >= 400", "job-1/b"},
		{"SELECT * FROM devices.jobs WHERE tags.site = 'lab'", ""},
	} {
		q := mustParse(t, test.query)
		if got := keysOf(run(t, db, q, Page{})); got != test.want {
			t.Errorf("%s\ngot  %s\nwant %s", test.query, got, test.want)
		}
	}
}

func TestItemType(t *testing.T) {
	for _, test := range []struct {
		query  string
		source Source
		item   ItemType
	}{
		{"SELECT * FROM devices", Devices, "Twin"},
		{"SELECT TOP 5 * FROM devices WHERE true", Devices, "Twin"},
		{"SELECT * FROM devices.jobs", Jobs, "DeviceJob"},
		{"SELECT deviceId FROM devices", Devices, "Raw"},
		{"SELECT COUNT() AS n FROM devices", Devices, "Raw"},
	} {
		q := mustParse(t, test.query)
		if q.Source() != test.source || q.ItemType() != test.item {
			t.Errorf("%s: source %v, items %s", test.query, q.Source(), q.ItemType())
		}
	}
}

// TestPages reads a result page by page as the hub does, while devices come and
// go between the pages: none of the others is given twice or left out.
func TestPages(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		query string
		want  int
	}{
		{"SELECT * FROM devices", 25},
		{"SELECT * FROM devices WHERE tags.n >= 5", 20},
		{"SELECT TOP 7 * FROM devices", 7},
		{"SELECT TOP 6 deviceId FROM devices", 6},
		{"SELECT deviceId, tags.n FROM devices WHERE tags.n < 11", 11},
		{"SELECT tags.n, COUNT() AS c FROM devices GROUP BY tags.n", 25},
		{"SELECT TOP 8 tags.n, COUNT() AS c FROM devices GROUP BY tags.n", 8},
		{"SELECT COUNT() AS c FROM devices", 1},
		{"SELECT tags.missing FROM devices GROUP BY tags.missing", 1},
	} {
		t.Run(test.query, func(t *testing.T) {
			t.Parallel()
			db := openDatabase(t)
			for i := range 25 {
				addTagged(t, db, fmt.Sprintf("device-%02d", i), fmt.Sprintf(`{"n":%d}`, i))
			}
			const size = 3
			q, seen := mustParse(t, test.query), map[string]bool{}
			for page := (Page{Limit: size + 1}); ; {
				rows := run(t, db, q, page)
				more := len(rows) > size
				for _, r := range rows[:min(len(rows), size)] {
					if seen[r.key] {
						t.Fatalf("row %s came twice", r.key)
					}
					seen[r.key] = true
					page.After, page.Delivered = r.key, page.Delivered+1
				}
				if !more {
					break
				}
				if q.ItemType() == Twin { // a device before the page and the last row itself
					addTagged(t, db, fmt.Sprintf("a-%d", page.Delivered), `{"n":1}`)
					execute(t, db, "DELETE FROM devices WHERE device_id = ?", page.After)
				}
			}
			if len(seen) != test.want {
				t.Errorf("%d rows, want %d", len(seen), test.want)
			}
		})
	}
}

// TestNothingAfterTheLastPage asks on after the end, as a client with a stale
// continuation token may.
func TestNothingAfterTheLastPage(t *testing.T) {
	db := fleet(t)
	for _, text := range []string{
		"SELECT COUNT() AS n FROM devices", "SELECT * FROM devices", "SELECT TOP 1 * FROM devices",
		"SELECT tags.site FROM devices GROUP BY tags.site",
	} {
		q := mustParse(t, text)
		rows := run(t, db, q, Page{})
		page := Page{After: rows[len(rows)-1].key, Delivered: len(rows), Limit: 100}
		if rest := run(t, db, q, page); len(rest) != 0 {
			t.Errorf("%s: %d rows after the last", text, len(rest))
		}
	}
}

// TestColumnsDoNotConvert has values that are equal once SQLite has converted one
// to the type of the column that it meets.
func TestColumnsDoNotConvert(t *testing.T) {
	db := openDatabase(t)
	execute(t, db, `INSERT INTO devices (device_id, tags, reported_version) VALUES ('1', '{"n":1,"s":"2"}', 2)`)
	for _, condition := range []string{
		"deviceId = tags.n", "tags.n = deviceId", "deviceId = 1", "deviceId IN [1]", "deviceId <= tags.n", "deviceId <= 1",
		"properties.reported.$version = tags.s", "properties.reported.$version = '2'", "properties.reported.$version IN ['2']",
		"ARRAY_CONTAINS(tags.n, deviceId)", "deviceId + 0 = 1",
	} {
		q, err := ParseCondition(condition)
		if err != nil {
			t.Fatal(err)
		}
		if rows := run(t, db, q, Page{}); len(rows) != 0 {
			t.Errorf("%s selects the device", condition)
		}
	}
}

// TestIndexIsUsed keeps the lookup of devices by id out of a scan over all.
func TestIndexIsUsed(t *testing.T) {
	db := openDatabase(t)
	for _, text := range []string{
		"SELECT * FROM devices WHERE deviceId = 'a'",
		"SELECT * FROM devices WHERE DeviceId in ['a', 'b'] AND tags.x = 1 AND tags.y = 2",
		"SELECT * FROM devices WHERE tags.x = 1 AND tags.y = 2 AND 'a' = devices.deviceId",
		"SELECT deviceId FROM devices WHERE deviceId >= 'a' AND deviceId < 'b'",
		"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'job-1' AND status = 'failed'",
	} {
		q := mustParse(t, text)
		schema := deviceSchema
		if q.Source() == Jobs {
			schema = jobSchema
		}
		statement, err := q.Compile(schema, Page{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		var id, parent, unused int
		var plan string
		if err := db.QueryRow("EXPLAIN QUERY PLAN "+statement.SQL, statement.Args...).Scan(&id, &parent, &unused, &plan); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(plan, "SEARCH") {
			t.Errorf("%s: %s", text, plan)
		}
	}
}

func TestColumnErrors(t *testing.T) {
	for _, test := range []struct{ query, want string }{
		{
			"SELECT tags.a, COUNT() AS n FROM devices",
			"Line 1:8 Unexpected column 'tags.a', expected it in GROUP BY or in an aggregate",
		},
		{
			"SELECT tags.a FROM devices GROUP BY tags.A",
			"Line 1:8 Unexpected column 'tags.a', expected it in GROUP BY or in an aggregate",
		},
		{
			"SELECT deviceId,\n DEVICEID FROM devices",
			"Line 2:2 Unexpected second column with the name 'deviceId', expected AS and another name",
		},
		{
			"SELECT tags.a, properties.desired.a FROM devices",
			"Line 1:16 Unexpected second column with the name 'a', expected AS and another name",
		},
	} {
		_, err := mustParse(t, test.query).Compile(deviceSchema, Page{})
		var mistake *SyntaxError
		if !errors.As(err, &mistake) || err.Error() != parseFailed+test.want {
			t.Errorf("%s\ngot  %v\nwant %s%s", test.query, err, parseFailed, test.want)
		}
	}
}
