package hub

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// schemaVersion is the PRAGMA user_version of the database that this program
// writes. An older one is brought up to it (see migrations), a newer one is
// refused and left as it is.
const schemaVersion = 1

// store is the hub's memory: one SQLite database. What each write function has
// returned from survives the death of the process at any moment (WAL journal);
// what writeDurably has returned from also survives a power cut.
//
// There is one writing connection, so writes never meet each other, and a few
// reading ones, which see the last commit and wait for no write.
type store struct {
	w *sql.DB // exactly one connection
	r *sql.DB // for short reads: a device's identity, a twin, a job
	q *sql.DB // for queries in the query language, which may take seconds
}

// How many reads run at once. The machine has not many more cores than that;
// and those who ask slow queries wait for each other, not a device for them.
const (
	readers = 4
	queries = 2
)

// openStore opens the database at path, or makes a new one.
func openStore(path string) (*store, error) {
	fail := func(err error) (*store, error) { return nil, fmt.Errorf("open database %s: %w", path, err) }
	version, err := storedVersion(path)
	if err != nil {
		return fail(err)
	}
	if version > schemaVersion {
		return fail(fmt.Errorf("it has format %d and this latchhub knows formats up to %d: it was written by a newer latchhub; nothing was changed", version, schemaVersion))
	}
	// SQLite would make the file with the umask's permissions; it holds keys.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, privateFile)
	if err != nil {
		return fail(err)
	}
	if err := f.Close(); err != nil {
		return fail(err)
	}
	s := &store{}
	if s.w, err = sql.Open("sqlite", dataSource(path, url.Values{"_txlock": {"immediate"}})); err != nil {
		return fail(err)
	}
	s.w.SetMaxOpenConns(1)
	if err := s.migrate(version); err != nil {
		return fail(errors.Join(err, s.w.Close()))
	}
	if s.r, err = openReaders(path, readers); err != nil {
		return fail(errors.Join(err, s.w.Close()))
	}
	if s.q, err = openReaders(path, queries); err != nil {
		return fail(errors.Join(err, s.r.Close(), s.w.Close()))
	}
	return s, nil
}

// openReaders opens connections that refuse to write, so that a query language
// cannot.
func openReaders(path string, most int) (*sql.DB, error) {
	db, err := sql.Open("sqlite", dataSource(path, url.Values{"_pragma": {"query_only(1)"}}))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(most)
	db.SetMaxIdleConns(most)
	return db, nil
}

// dataSource names a database to the driver. NORMAL syncs the journal at
// checkpoints only: nothing is lost when the process dies, the last commits
// may be when the power does. The busy timeout is for the moments in which
// SQLite itself locks (checkpoints, recovery).
func dataSource(path string, more url.Values) string {
	q := url.Values{"_pragma": {"busy_timeout(10000)", "journal_mode(WAL)", "synchronous(NORMAL)", "foreign_keys(1)"}}
	for k, v := range more {
		q[k] = append(q[k], v...)
	}
	return (&url.URL{Scheme: "file", Path: absolute(path), RawQuery: q.Encode()}).String()
}

func absolute(path string) string {
	if a, err := filepath.Abs(path); err == nil {
		return a
	}
	return path
}

// storedVersion reads the format of an existing database without writing to
// it; 0 for a new one.
func storedVersion(path string) (version int, err error) {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	u := url.URL{Scheme: "file", Path: absolute(path), RawQuery: "mode=ro"}
	db, err := sql.Open("sqlite", u.String())
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		return 0, fmt.Errorf("read its format: %w", err)
	}
	return version, nil
}

func (s *store) migrate(from int) error {
	if from == schemaVersion {
		return nil
	}
	return s.write(context.Background(), func(tx *sql.Tx) error {
		for v := from; v < schemaVersion; v++ {
			if _, err := tx.Exec(migrations[v]); err != nil {
				return fmt.Errorf("bring it from format %d to %d: %w", v, v+1, err)
			}
		}
		_, err := tx.Exec(fmt.Sprintf("PRAGMA user_version = %d", schemaVersion))
		return err
	})
}

// write runs f in a transaction, which is committed when f returns nil.
func (s *store) write(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.w.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin a write: %w", err)
	}
	return finish(tx, f)
}

// writeDurably is write with the journal synced to the disk before it returns.
func (s *store) writeDurably(ctx context.Context, f func(*sql.Tx) error) (err error) {
	conn, err := s.w.Conn(ctx)
	if err != nil {
		return fmt.Errorf("begin a write: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if _, err := conn.ExecContext(ctx, "PRAGMA synchronous = FULL"); err != nil {
		return fmt.Errorf("begin a synced write: %w", err)
	}
	defer func() {
		// The connection is the only one and goes back to the pool: also when
		// ctx has ended.
		_, back := conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA synchronous = NORMAL")
		err = errors.Join(err, back)
	}()
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin a write: %w", err)
	}
	return finish(tx, f)
}

func finish(tx *sql.Tx, f func(*sql.Tx) error) error {
	if err := f(tx); err != nil {
		_ = tx.Rollback() // the error of f says more
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit a write: %w", err)
	}
	return nil
}

func (s *store) close() error {
	return errors.Join(s.q.Close(), s.r.Close(), s.w.Close())
}

// reader is what both a transaction and the reading connections can do.
type reader interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// collect reads all rows of a query.
func collect[T any](ctx context.Context, from reader, scan func(row) (T, error), query string, args ...any) ([]T, error) {
	rows, err := from.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // Err below tells what went wrong
	var all []T
	for rows.Next() {
		one, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// row is what sql.Row and sql.Rows can do.
type row interface{ Scan(dest ...any) error }
