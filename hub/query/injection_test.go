package query

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// hostile are texts that would do harm, or miss their match, if any part of the
// way to SQLite took them for anything but plain characters.
var hostile = []string{
	"'; DROP TABLE devices; --", "' OR '1'='1", `" OR ""="`, "x' UNION SELECT 1,2 --", "\\'; DROP TABLE devices; --",
	`$."tags"`, `a"."b`, `a\"b`, `\`, `\\`, `\u0041`, "[0]", "[#-1]", "$", "*", "$.a", "a.b", "#", "@", ")", "/*", "--", "`", ";",
	"?1", ":name", "@name", "$name", "%", "_", "%s%n", "a\x00b", "\x01", "\n", "\t", "\u2028", "\ufeff", "é", "e\u0301", "😀", "<&>", "null", "true", "undefined",
	"' || (SELECT sql FROM sqlite_schema) || '", `{"a":1}`, "\"", "''", "NULL", "1", "GROUP", "]", "[[",
}

// TestHostileTexts puts each hostile text in every place a query has for text,
// and expects exactly the device that has it there. Texts that are alike stand
// in one group, with a database of its own: a query reads all devices, and a
// mistake would find all of them or none.
func TestHostileTexts(t *testing.T) {
	t.Parallel()
	const group = 14
	for texts := range slices.Chunk(hostile, group) {
		t.Run(fmt.Sprintf("%q and on", texts[0]), func(t *testing.T) {
			t.Parallel()
			db := openDatabase(t)
			for i, text := range texts {
				execute(t, db, "INSERT INTO devices (device_id, tags, reported, status_reason) VALUES (?, ?, ?, ?)",
					fmt.Sprintf("%02d", i), jsonOf(t, map[string]any{"value": text, "list": []string{text}}),
					jsonOf(t, map[string]any{text: map[string]int{text: i}}), text)
			}
			for i, text := range texts {
				expectInConditions(t, db, i, text)
				expectInColumns(t, db, i, text)
				expectInGroups(t, db, text)
			}
			if n := len(run(t, db, &Query{}, Page{})); n != len(texts) {
				t.Errorf("%d devices are left of %d", n, len(texts))
			}
		})
	}
}

func quotedText(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(text) + "'"
}

// expectInConditions wants device i, which alone has the text, from conditions
// with it.
func expectInConditions(t *testing.T, db *sql.DB, i int, text string) {
	t.Helper()
	id, quoted, name := fmt.Sprintf("%02d", i), quotedText(text), "[["+text+"]]"
	for _, condition := range []string{
		"tags.value = " + quoted,
		"statusReason = " + quoted,
		"tags.value IN [0, " + quoted + "]",
		"statusReason IN [" + quoted + "]",
		"ARRAY_CONTAINS(tags.list, " + quoted + ")",
		"STARTSWITH(tags.value, " + quoted + ") AND LENGTH(tags.value) = LENGTH(" + quoted + ")",
		"properties.reported." + name + "." + name + " = " + fmt.Sprint(i),
		"deviceId = '" + id + "' AND NOT IS_DEFINED(" + "x." + name + ")",
	} {
		q, err := ParseCondition(condition)
		if err != nil {
			t.Fatalf("%q: %v", condition, err)
		}
		expectOwnWords(t, q, text)
		if got := keysOf(run(t, db, q, Page{})); got != id {
			t.Errorf("%q: got %q, want %s", condition, got, id)
		}
	}
}

// expectInColumns wants the number i where the text is a name or an alias.
func expectInColumns(t *testing.T, db *sql.DB, i int, text string) {
	t.Helper()
	name := "[[" + text + "]]"
	for _, list := range []string{
		"properties.reported." + name + "." + name + " AS " + name,
		"MAX(properties.reported." + name + "." + name + ") AS " + name,
		"properties.reported." + name + "." + name,
	} {
		q := mustParse(t, fmt.Sprintf("SELECT %s FROM devices WHERE deviceId = '%02d'", list, i))
		expectOwnWords(t, q, text)
		want := jsonOf(t, map[string]int{text: i})
		if got := itemsOf(run(t, db, q, Page{})); !sameJSON(t, got, want) {
			t.Errorf("SELECT %q: got %s, want %s", list, got, want)
		}
	}
}

// expectInGroups wants one group for the text, and none after its key.
func expectInGroups(t *testing.T, db *sql.DB, text string) {
	t.Helper()
	grouped := mustParse(t, "SELECT tags.value, COUNT() AS n FROM devices WHERE tags.value = "+quotedText(text)+" GROUP BY tags.value")
	rows := run(t, db, grouped, Page{})
	if want := jsonOf(t, map[string]any{"value": text, "n": 1}); len(rows) != 1 || !sameJSON(t, rows[0].item, want) {
		t.Fatalf("group of %q: %v", text, rows)
	}
	if rest := run(t, db, grouped, Page{After: rows[0].key}); len(rest) != 0 {
		t.Errorf("group of %q: %v after its key", text, rest)
	}
}

// expectOwnWords checks that a statement has nothing of the text in it.
func expectOwnWords(t *testing.T, q *Query, text string) {
	t.Helper()
	statement, err := q.Compile(deviceSchema, Page{})
	if err != nil {
		t.Fatal(err)
	}
	if len(text) > 6 && strings.Contains(statement.SQL, text) {
		t.Errorf("%q is part of %s", text, statement.SQL)
	}
}

func jsonOf(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := json.Unmarshal([]byte(a), &x); err != nil {
		t.Fatalf("%q: %v", a, err)
	}
	if err := json.Unmarshal([]byte(b), &y); err != nil {
		t.Fatalf("%q: %v", b, err)
	}
	return reflect.DeepEqual(x, y)
}
