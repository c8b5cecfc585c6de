package hub

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"latchd/iothub"
)

// twin is a row of the twins.
type twin struct {
	deviceID string
	version  int64 // of the whole: +1 with each write of any section
	etag     twinETag
	tags     map[string]any
	desired  section
	reported section
}

// section is desired or reported as the hub keeps it.
type section struct {
	version    int64
	properties map[string]any
	metadata   iothub.Metadata
}

// newTwin is the twin of a new identity: both sections empty at version 1,
// hence 2 as a whole.
func newTwin(id string, at time.Time) twin {
	empty := func(version int64) section {
		return section{
			version: 1, properties: map[string]any{},
			metadata: iothub.UpdateMetadata(nil, nil, at, version),
		}
	}
	return twin{deviceID: id, version: 2, etag: 1, desired: empty(1), reported: empty(0)}
}

// twinETag counts the writes of tags and desired.
type twinETag int64

// String is the etag on the wire: base64 of eight bytes, big-endian.
func (e twinETag) String() string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(e))
	return base64.StdEncoding.EncodeToString(b[:])
}

// Scan implements sql.Scanner.
func (e *twinETag) Scan(value any) error {
	text, _ := value.(string)
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(b) != 8 {
		return errors.New("a stored etag is not one")
	}
	*e = twinETag(binary.BigEndian.Uint64(b))
	return nil
}

const (
	metadataKey = "$metadata"
	versionKey  = "$version"
)

// document is the section as the service sees it.
func (s section) document() map[string]any {
	out := make(map[string]any, len(s.properties)+2)
	for k, v := range s.properties {
		out[k] = v
	}
	out[metadataKey] = map[string]any(s.metadata)
	out[versionKey] = s.version
	return out
}

// Scan implements sql.Scanner.
func (s *section) Scan(value any) error {
	doc, err := scanObject(value)
	if err != nil {
		return err
	}
	meta, _ := doc[metadataKey].(map[string]any)
	number, _ := doc[versionKey].(json.Number)
	version, err := strconv.ParseInt(string(number), 10, 64)
	if err != nil || meta == nil {
		return errors.New("a stored section lacks its $version or $metadata")
	}
	delete(doc, metadataKey)
	delete(doc, versionKey)
	*s = section{version: version, properties: doc, metadata: meta}
	return nil
}

// storedObject is a JSON object in the database; nil is NULL.
type storedObject map[string]any

// Scan implements sql.Scanner.
func (o *storedObject) Scan(value any) error {
	if value == nil {
		*o = nil
		return nil
	}
	doc, err := scanObject(value)
	*o = doc
	return err
}

func scanObject(value any) (map[string]any, error) {
	text, ok := value.(string)
	if !ok {
		return nil, fmt.Errorf("a %T is not a stored object", value)
	}
	return iothub.DecodeObject([]byte(text))
}

const twinColumns = "t.device_id, t.version, t.etag, t.tags, t.desired, t.reported"

func scanTwin(r row) (t twin, err error) {
	err = r.Scan(&t.deviceID, &t.version, &t.etag, (*storedObject)(&t.tags), &t.desired, &t.reported)
	return t, err
}

// getTwin gives one twin, or DeviceNotFound.
func getTwin(ctx context.Context, from reader, id string) (twin, error) {
	t, err := scanTwin(from.QueryRowContext(ctx, "SELECT "+twinColumns+" FROM twins t WHERE t.device_id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return t, deviceNotFound(id)
	}
	if err != nil {
		return t, fmt.Errorf("read twin %s: %w", id, err)
	}
	return t, nil
}

// putTwin writes a whole row; a new one too.
func putTwin(ctx context.Context, tx *sql.Tx, t twin) error {
	var tags any // NULL
	if t.tags != nil {
		text, err := json.Marshal(t.tags)
		if err != nil {
			return fmt.Errorf("write twin %s: tags: %w", t.deviceID, err)
		}
		tags = string(text)
	}
	desired, err1 := json.Marshal(t.desired.document())
	reported, err2 := json.Marshal(t.reported.document())
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("write twin %s: %w", t.deviceID, err)
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO twins (device_id, version, etag, tags, desired, reported) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (device_id) DO UPDATE SET version = excluded.version, etag = excluded.etag,
			tags = excluded.tags, desired = excluded.desired, reported = excluded.reported`,
		t.deviceID, t.version, t.etag.String(), tags, string(desired), string(reported))
	if err != nil {
		return fmt.Errorf("write twin %s: %w", t.deviceID, err)
	}
	return nil
}
