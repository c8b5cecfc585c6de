package query

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// The schema of the tests, close to what a hub has: a table of twins whose
// sections are JSON text, and one of the devices of jobs.
var deviceSchema = Schema{
	From: "devices",
	Key:  "device_id",
	Fields: []Field{
		{Name: "deviceId", SQL: "device_id", Type: Text},
		{Name: "etag", SQL: "etag", Type: Text},
		{Name: "version", SQL: "desired_version + reported_version", Type: Number},
		{Name: "status", SQL: "CASE WHEN enabled THEN 'enabled' ELSE 'disabled' END", Type: Text},
		{Name: "statusReason", SQL: "status_reason", Type: Text},
		{Name: "connectionState", SQL: "connection_state", Type: Text},
		{Name: "cloudToDeviceMessageCount", SQL: "0", Type: Number},
		{Name: "capabilities.iotEdge", SQL: "iot_edge", Type: Bool},
		{Name: "tags", SQL: "tags", Type: JSON},
		{Name: "properties.desired", SQL: "desired", Type: JSON},
		{Name: "properties.desired.$version", SQL: "desired_version", Type: Number},
		{Name: "properties.desired.$metadata", SQL: "desired_metadata", Type: JSON},
		{Name: "properties.reported", SQL: "reported", Type: JSON},
		{Name: "properties.reported.$version", SQL: "reported_version", Type: Number},
	},
}

const deviceTable = `CREATE TABLE devices (
	device_id TEXT PRIMARY KEY NOT NULL,
	etag TEXT NOT NULL DEFAULT 'AAAAAAAAAAE=',
	enabled INTEGER NOT NULL DEFAULT 1,
	status_reason TEXT,
	connection_state TEXT NOT NULL DEFAULT 'Disconnected',
	iot_edge INTEGER NOT NULL DEFAULT 0,
	tags TEXT,
	desired TEXT NOT NULL DEFAULT '{}',
	desired_version INTEGER NOT NULL DEFAULT 1,
	desired_metadata TEXT NOT NULL DEFAULT '{"$lastUpdated":"2026-11-22T02:31:07.1200000Z"}',
	reported TEXT NOT NULL DEFAULT '{}',
	reported_version INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID`

var jobSchema = Schema{
	From: "job_devices",
	Key:  "job_id || '/' || device_id",
	Fields: []Field{
		{Name: "jobId", SQL: "job_id", Type: Text},
		{Name: "deviceId", SQL: "device_id", Type: Text},
		{Name: "status", SQL: "status", Type: Text},
		{Name: "outcome", SQL: "outcome", Type: JSON},
	},
}

const jobTable = `CREATE TABLE job_devices (
	job_id TEXT NOT NULL,
	device_id TEXT NOT NULL,
	status TEXT NOT NULL,
	outcome TEXT,
	PRIMARY KEY (job_id, device_id)
) STRICT, WITHOUT ROWID`

// openDatabase gives an empty database in memory.
func openDatabase(t testing.TB) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	db.SetMaxOpenConns(1) // each connection to :memory: has a database of its own
	execute(t, db, deviceTable)
	execute(t, db, jobTable)
	return db
}

func execute(t testing.TB, db *sql.DB, statement string, args ...any) {
	t.Helper()
	if _, err := db.Exec(statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// addTagged adds a device that has only tags.
func addTagged(t testing.TB, db *sql.DB, id, tags string) {
	t.Helper()
	execute(t, db, "INSERT INTO devices (device_id, tags) VALUES (?, ?)", id, tags)
}

type row struct{ key, item string }

// run gives the rows of a query.
func run(t testing.TB, db *sql.DB, q *Query, page Page) []row {
	t.Helper()
	rows, err := tryRun(db, q, page)
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func tryRun(db *sql.DB, q *Query, page Page) ([]row, error) {
	schema := deviceSchema
	if q.Source() == Jobs {
		schema = jobSchema
	}
	statement, err := q.Compile(schema, page)
	if err != nil {
		return nil, err
	}
	rows, err := db.Query(statement.SQL, statement.Args...)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", q, statement.SQL, err)
	}
	defer rows.Close()
	var got []row
	for rows.Next() {
		var key string
		var item sql.NullString
		if err := rows.Scan(&key, &item); err != nil {
			return nil, err
		}
		if item.Valid != (q.ItemType() == Raw) || item.Valid && !json.Valid([]byte(item.String)) {
			return nil, fmt.Errorf("%s: item %q of %s", q, item.String, q.ItemType())
		}
		got = append(got, row{key, item.String})
	}
	return got, rows.Err()
}

func mustParse(t testing.TB, text string) *Query {
	t.Helper()
	q, err := Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return q
}

// keysOf gives the keys of the rows, separated by spaces.
func keysOf(rows []row) string {
	var keys []string
	for _, r := range rows {
		keys = append(keys, r.key)
	}
	return strings.Join(keys, " ")
}

// itemsOf gives the items of the rows, one per line.
func itemsOf(rows []row) string {
	var items []string
	for _, r := range rows {
		items = append(items, r.item)
	}
	return strings.Join(items, "\n")
}
