package query

import (
	"errors"
	"reflect"
	"testing"
	"unicode/utf8"
)

// FuzzParse throws texts at both parsers. Whatever they accept must print to a
// text that parses to the same query, and must run on SQLite.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"SELECT * FROM devices", "select top 3 deviceId, tags.[[a b]] as x from devices",
		"SELECT COUNT() AS n, MAX(tags.a) FROM devices WHERE NOT tags.a IN [1, -2.5, 0x1f, 'x', null, undefined] GROUP BY tags.b",
		"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'job-1' AND devices.jobs.status='failed'",
		"SELECT properties, capabilities.iotEdge, SUM(version) FROM devices GROUP BY properties, capabilities.iotEdge",
		"DeviceId in ['x']", "*", "", "tags.site='lab' AND (properties.reported.a.[[b.c]] > 1e-3 OR true)",
		`STARTS_WITH(LOWER(tags.a), "it's \u00e9 \ud83d\ude00 \"x\"")`, "--1 - -1 * (2 % 3) / 4 <> 5",
		"ARRAY_CONTAINS(tags.a, 1) = IS_DEFINED(properties.desired.$version)", "tags.[[a]]] != '\x00'", "((((((",
		"tags.group = 1", "SELECT * FROM devices ORDER BY deviceId", "9223372036854775808 = -9223372036854775808",
		"SUBSTRING(tags.a, 1, 2) = CONCAT(tags.a, 'b', tags.c) AND AS_NUMBER(tags.a) = POWER(2, 0.5)",
	} {
		f.Add(seed)
	}
	db := openDatabase(f)
	execute(f, db, `INSERT INTO devices (device_id, tags, reported) VALUES ('x', '{"a":[1],"site":"lab"}', '{"a":{"b.c":0.5}}')`)
	execute(f, db, `INSERT INTO job_devices VALUES ('job-1', 'x', 'failed', NULL)`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, parse := range []func(string) (*Query, error){Parse, ParseCondition} {
			q, err := parse(text)
			if err != nil {
				expectMistake(t, err)
				continue
			}
			printed := q.String()
			if utf8.RuneCountInString(printed) <= MaxLength {
				if again := mustParse(t, printed); !reflect.DeepEqual(withoutPositions(again), withoutPositions(q)) {
					t.Fatalf("%q prints as %q, which parses as %q", text, printed, again)
				}
			}
			if _, err := tryRun(db, q, Page{After: "a", Limit: 3}); err != nil {
				expectMistake(t, err)
			}
		}
	})
}

// expectMistake fails for an error that does not blame the text.
func expectMistake(t *testing.T, err error) {
	t.Helper()
	var mistake *SyntaxError
	if !errors.As(err, &mistake) && !errors.Is(err, ErrTooLong) {
		t.Fatal(err)
	}
}

func withoutPositions(q *Query) Query {
	bare := *q
	bare.columns = nil
	for _, c := range q.columns {
		c.at = position{}
		bare.columns = append(bare.columns, c)
	}
	return bare
}
