package hub

// migrations[v] brings a database from format v to v+1. A released one is
// never edited.
//
// Times are text of fixed width in UTC (iothub.FormatTwinTime), so that they
// compare and sort in queries as they stand; the year 1 means never.
var migrations = [schemaVersion]string{`
-- The identity registry.
CREATE TABLE devices (
	device_id            TEXT NOT NULL PRIMARY KEY,
	generation_id        TEXT NOT NULL,
	etag                 TEXT NOT NULL,
	status               TEXT NOT NULL CHECK (status IN ('enabled', 'disabled')),
	status_reason        TEXT,
	status_updated       TEXT NOT NULL,
	connection_state     TEXT NOT NULL CHECK (connection_state IN ('Connected', 'Disconnected')),
	connection_updated   TEXT NOT NULL,
	last_activity        TEXT NOT NULL,
	auth_type            TEXT NOT NULL,
	primary_key          TEXT,
	secondary_key        TEXT,
	primary_thumbprint   TEXT,
	secondary_thumbprint TEXT,
	model_id             TEXT NOT NULL
) STRICT;

-- A twin for each identity. A section is kept as the service sees it, its
-- $version and $metadata within.
CREATE TABLE twins (
	device_id TEXT NOT NULL PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
	version   INTEGER NOT NULL, -- +1 with each write of any section
	etag      TEXT NOT NULL,    -- the next one with each write of tags or desired
	tags      TEXT,             -- NULL until first set
	desired   TEXT NOT NULL,
	reported  TEXT NOT NULL
) STRICT;

-- What a device had subscribed to when its persistent session was last seen.
CREATE TABLE sessions (
	device_id TEXT NOT NULL PRIMARY KEY REFERENCES devices ON DELETE CASCADE,
	filters   TEXT NOT NULL -- {"filter": QoS}
) STRICT;

CREATE TABLE jobs (
	seq       INTEGER PRIMARY KEY AUTOINCREMENT,
	job_id    TEXT NOT NULL UNIQUE,
	type      TEXT NOT NULL,
	work      TEXT NOT NULL, -- cloudToDeviceMethod or updateTwin, as it was asked for
	condition TEXT NOT NULL,
	created   TEXT NOT NULL,
	start     TEXT NOT NULL, -- when to start
	started   TEXT,          -- when it did; the devices are chosen
	ended     TEXT,
	finished  INTEGER,       -- order of the ends, whatever the clock said
	seconds   INTEGER NOT NULL, -- maxExecutionTimeInSeconds
	status    TEXT NOT NULL,
	failure   TEXT NOT NULL
) STRICT;

-- What became of a job on each device. It outlives the device.
CREATE TABLE job_devices (
	key       TEXT NOT NULL PRIMARY KEY, -- job_id/device_id
	job_id    TEXT NOT NULL REFERENCES jobs (job_id) ON DELETE CASCADE,
	device_id TEXT NOT NULL,
	type      TEXT NOT NULL,
	status    TEXT NOT NULL,
	created   TEXT NOT NULL,
	started   TEXT,
	ended     TEXT,
	updated   TEXT NOT NULL,
	outcome   TEXT, -- JSON
	error     TEXT  -- JSON
) STRICT;
CREATE INDEX job_devices_by_status ON job_devices (job_id, status);
CREATE INDEX job_devices_by_device ON job_devices (device_id);

-- The last events, oldest first. total is the size of all events ever, this
-- one included, so that the bytes between two events are a subtraction.
CREATE TABLE events (
	seq        INTEGER PRIMARY KEY AUTOINCREMENT,
	total      INTEGER NOT NULL,
	source     TEXT NOT NULL,
	device_id  TEXT NOT NULL,
	body       TEXT NOT NULL, -- JSON
	system     TEXT NOT NULL, -- JSON
	properties TEXT NOT NULL  -- JSON
) STRICT;
`}
