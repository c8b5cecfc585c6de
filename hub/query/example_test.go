package query_test

import (
	"database/sql"
	"fmt"
	"log"

	"latchd/hub/query"
)

// A hub describes its table once and answers any query over it.
func Example() {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		log.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if _, err := db.Exec(`
		CREATE TABLE twins (device_id TEXT PRIMARY KEY, tags TEXT, reported TEXT);
		INSERT INTO twins VALUES
			('front', '{"site":"lab"}', '{"door":{"state":"locked"}}'),
			('rear',  '{"site":"lab"}', '{"door":{"state":"jammed"}}'),
			('gate',  NULL,             '{}')`); err != nil {
		log.Fatal(err)
	}
	schema := query.Schema{
		From: "twins",
		Key:  "device_id",
		Fields: []query.Field{
			{Name: "deviceId", SQL: "device_id", Type: query.Text},
			{Name: "tags", SQL: "tags", Type: query.JSON},
			{Name: "properties.reported", SQL: "reported", Type: query.JSON},
		},
	}

	q, err := query.Parse("SELECT DeviceId, properties.reported.door.state FROM devices WHERE tags.site = 'lab'")
	if err != nil {
		log.Fatal(err)
	}
	statement, err := q.Compile(schema, query.Page{Limit: 100})
	if err != nil {
		log.Fatal(err)
	}
	rows, err := db.Query(statement.SQL, statement.Args...)
	if err != nil {
		log.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var item sql.NullString
		if err := rows.Scan(&key, &item); err != nil {
			log.Fatal(err)
		}
		fmt.Println(key, item.String)
	}
	fmt.Println(q.ItemType(), rows.Err())
	// Output:
	// front {"deviceId":"front","state":"locked"}
	// rear {"deviceId":"rear","state":"jammed"}
	// Raw <nil>
}

// A mistake is explained in the words of the cloud hub.
func ExampleParseCondition() {
	_, err := query.ParseCondition("SELECT * FROM devices WHERE deviceId = 'front'")
	fmt.Println(err)
	// Output:
	// SQL query parse failed due to following errors: Line 1:29 Unexpected character at input 'SELECT'
}
