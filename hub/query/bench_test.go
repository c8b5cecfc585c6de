package query

import (
	"database/sql"
	"fmt"
	"testing"
)

// BenchmarkQuery answers the common queries over 10,000 devices, each with a twin
// of the size a device has after a few days. A page is 100 rows.
func BenchmarkQuery(b *testing.B) {
	db := manyDevices(b, 10_000)
	for _, test := range []struct {
		name, query string
		rows        int
	}{
		{"Id", "SELECT * FROM devices WHERE deviceId = 'device-04711'", 1},
		{"IdIn", "SELECT * FROM devices WHERE DeviceId IN ['device-00001', 'device-04711', 'device-09999', 'other']", 3},
		{"FirstPage", "SELECT * FROM devices", 101},
		{"Tag", "SELECT * FROM devices WHERE tags.site = 'site-7'", 101},
		{"TagOfNone", "SELECT * FROM devices WHERE tags.site = 'nowhere'", 0},
		{"NestedReported", "SELECT * FROM devices WHERE properties.reported.door.state = 'jammed'", 100},
		{"Both", "SELECT * FROM devices WHERE tags.site = 'site-7' AND NOT properties.reported.building.value = 43", 0},
		{"GroupBy", "SELECT properties.reported.door.state, COUNT() AS n FROM devices GROUP BY properties.reported.door.state", 2},
	} {
		b.Run(test.name, func(b *testing.B) {
			q := mustParse(b, test.query)
			for b.Loop() {
				if rows := run(b, db, q, Page{Limit: 101}); len(rows) != test.rows {
					b.Fatalf("%d rows, want %d", len(rows), test.rows)
				}
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for b.Loop() {
		mustParse(b, "SELECT * FROM devices WHERE tags.site = 'lab' AND (properties.reported.building.value IN [43, 44] OR NOT IS_DEFINED(tags.floor))")
	}
}

func manyDevices(b *testing.B, n int) *sql.DB {
	db := openDatabase(b)
	tx, err := db.Begin()
	if err != nil {
		b.Fatal(err)
	}
	for i := range n {
		state := "locked"
		if i%100 == 0 {
			state = "jammed"
		}
		if _, err := tx.Exec("INSERT INTO devices (device_id, tags, desired, reported) VALUES (?, ?, ?, ?)",
			fmt.Sprintf("device-%05d", i), fmt.Sprintf(`{"site":"site-%d","floor":%d}`, i%50, i%7), `{"building":43,"floor":3}`,
			fmt.Sprintf(reportedTwin, state)); err != nil {
			b.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		b.Fatal(err)
	}
	return db
}

const reportedTwin = `{"rebootTime":"2026-11-22T02:31:07.120Z",
"lastReboot":{"operationId":"op-1","commandId":"c-1","cause":"rebootDevice","orderly":true,"reason":"update","state":"completed","requestedAt":"2026-11-22T02:30:31.120Z","startedAt":"2026-11-22T02:30:33.120Z","bootedAt":"2026-11-22T02:31:07.120Z","downSeconds":31.4,"bootId":"8f0c37b5-3f0e-4f6e-9a3b-6d7d54c2b6a1","previousBootId":"1d4a2f67-0b1c-4a57-8d1d-90c1b8f8a0f3"},
"maintenanceStatus":{"open":false,"why":"outside","window":"night","zoneData":"system 2026b","next":[{"name":"night","opensAt":"2026-11-23T01:30:00.000Z","closesAt":"2026-11-23T03:30:00.000Z","local":"Mon 02:30 CET"}]},
"clock":{"state":"synchronized","since":"2026-11-22T02:31:09.000Z"},
"building":{"value":43,"ac":200,"av":7},"floor":{"value":3,"ac":200,"av":7},
"agent":{"version":"1.2.0","startedAt":"2026-11-22T02:31:08.000Z","bootId":"8f0c37b5-3f0e-4f6e-9a3b-6d7d54c2b6a1","simulated":false,"canReboot":true},
"deviceInformation":{"__t":"c","manufacturer":"Raspberry Pi","model":"Raspberry Pi 4 Model B Rev 1.4","swVersion":"1.2.0","osName":"Debian","processorArchitecture":"arm64","processorManufacturer":"Broadcom","totalStorage":30535680,"totalMemory":3884346},
"door":{"state":"%s","mode":"resting","assumed":true,"since":"2026-11-22T02:31:08.000Z"}}`
