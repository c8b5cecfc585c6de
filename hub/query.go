package hub

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"latchd/hub/query"
)

// twinSchema says where the fields of SELECT … FROM devices are.
var twinSchema = query.Schema{
	From: "devices d JOIN twins t ON t.device_id = d.device_id",
	Key:  "d.device_id",
	Fields: []query.Field{
		{Name: "deviceId", SQL: "d.device_id", Type: query.Text},
		{Name: "etag", SQL: "t.etag", Type: query.Text},
		{Name: "deviceEtag", SQL: "d.etag", Type: query.Text},
		{Name: "version", SQL: "t.version", Type: query.Number},
		{Name: "status", SQL: "d.status", Type: query.Text},
		{Name: "statusReason", SQL: "d.status_reason", Type: query.Text},
		{Name: "statusUpdateTime", SQL: "d.status_updated", Type: query.Text},
		{Name: "connectionState", SQL: "d.connection_state", Type: query.Text},
		{Name: "lastActivityTime", SQL: "d.last_activity", Type: query.Text},
		{Name: "cloudToDeviceMessageCount", SQL: "0", Type: query.Number},
		{Name: "authenticationType", SQL: "d.auth_type", Type: query.Text},
		{Name: "x509Thumbprint.primaryThumbprint", SQL: "d.primary_thumbprint", Type: query.Text},
		{Name: "x509Thumbprint.secondaryThumbprint", SQL: "d.secondary_thumbprint", Type: query.Text},
		{Name: "modelId", SQL: "d.model_id", Type: query.Text},
		{Name: "capabilities.iotEdge", SQL: "0", Type: query.Bool},
		{Name: "tags", SQL: "t.tags", Type: query.JSON},
		{Name: "properties.desired", SQL: "t.desired", Type: query.JSON},
		{Name: "properties.reported", SQL: "t.reported", Type: query.JSON},
	},
}

// jobSchema says where the fields of SELECT … FROM devices.jobs are. A name in
// the documentation's samples differs from the one that hubs print; both work.
var jobSchema = query.Schema{
	From: "job_devices j",
	Key:  "j.key",
	Fields: []query.Field{
		{Name: "deviceId", SQL: "j.device_id", Type: query.Text},
		{Name: "jobId", SQL: "j.job_id", Type: query.Text},
		{Name: "jobType", SQL: "j.type", Type: query.Text},
		{Name: "status", SQL: "j.status", Type: query.Text},
		{Name: "startTimeUtc", SQL: "j.started", Type: query.Text},
		{Name: "endTimeUtc", SQL: "j.ended", Type: query.Text},
		{Name: "createdDateTimeUtc", SQL: "j.created", Type: query.Text},
		{Name: "createdTimeUtc", SQL: "j.created", Type: query.Text},
		{Name: "lastUpdatedDateTimeUtc", SQL: "j.updated", Type: query.Text},
		{Name: "outcome", SQL: "j.outcome", Type: query.JSON},
		{Name: "error", SQL: "j.error", Type: query.JSON},
	},
}

// queryTime bounds one query, the wait for those before it included. Ten
// thousand twins take a tenth of a second.
const queryTime = 10 * time.Second

// errQuerySlow says that a query was given up.
var errQuerySlow = fmt.Errorf("the query took longer than %s, ask for less", queryTime)

// queryResult is one page.
type queryResult struct {
	items    []json.RawMessage
	itemType string
	more     bool
	next     paging
}

// query runs a SELECT. Mistakes in its text are errors of package query.
func (h *Hub) query(ctx context.Context, text string, p paging) (queryResult, error) {
	q, err := query.Parse(text)
	if err != nil {
		return queryResult{}, err
	}
	schema := twinSchema
	if q.Source() == query.Jobs {
		schema = jobSchema
	}
	statement, err := q.Compile(schema, query.Page{After: p.after, Delivered: p.delivered, Limit: p.size + 1})
	if err != nil {
		return queryResult{}, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, queryTime, errQuerySlow)
	defer cancel()
	result, err := h.runQuery(ctx, q, statement, p)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return result, err
}

// runQuery reads the page in one transaction, so that its keys and its items
// belong together.
func (h *Hub) runQuery(ctx context.Context, q *query.Query, statement query.Statement, p paging) (_ queryResult, err error) {
	tx, err := h.store.q.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return queryResult{}, fmt.Errorf("begin a query: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // it has written nothing
	rows, err := collect(ctx, tx, scanQueryRow, statement.SQL, statement.Args...)
	if err != nil {
		return queryResult{}, fmt.Errorf("run a query: %w", err)
	}
	result := queryResult{itemType: string(q.ItemType()), more: len(rows) > p.size}
	rows = rows[:min(len(rows), p.size)]
	for _, r := range rows {
		item := r.item
		if item == nil {
			if item, err = h.queryItem(ctx, tx, q.Source(), r.key); err != nil {
				return queryResult{}, err
			}
		}
		result.items = append(result.items, item)
	}
	if result.more {
		result.next = paging{after: rows[len(rows)-1].key, delivered: p.delivered + len(rows)}
	}
	return result, nil
}

type queryRow struct {
	key  string
	item json.RawMessage // nil for SELECT *
}

func scanQueryRow(r row) (queryRow, error) {
	var q queryRow
	var item sql.NullString
	err := r.Scan(&q.key, &item)
	if item.Valid {
		q.item = json.RawMessage(item.String)
	}
	return q, err
}

// queryItem prints what SELECT * gives for a key.
func (h *Hub) queryItem(ctx context.Context, from reader, source query.Source, key string) (json.RawMessage, error) {
	var item any
	if source == query.Jobs {
		d, err := getDeviceJob(ctx, from, key)
		if err != nil {
			return nil, err
		}
		item = d
	} else {
		t, d, err := h.twinWithIdentity(ctx, from, key)
		if err != nil {
			return nil, err
		}
		item = t.wire(d)
	}
	a, err := ok(item)
	return a.body, err
}

// devicesWhere gives the ids of the devices that a job's condition selects.
func (h *Hub) devicesWhere(ctx context.Context, condition string) ([]string, error) {
	q, err := query.ParseCondition(condition)
	if err != nil {
		return nil, err
	}
	statement, err := q.Compile(twinSchema, query.Page{})
	if err != nil {
		return nil, err
	}
	// Its time begins when it is its turn: a job must not fail because of other
	// people's queries.
	conn, err := h.store.q.Conn(ctx)
	if err != nil {
		return nil, fmt.Errorf("find the devices of a job: %w", err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, queryTime, errQuerySlow)
	defer cancel()
	rows, err := collect(ctx, conn, scanQueryRow, statement.SQL, statement.Args...)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("find the devices of a job: %w", err)
	}
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = r.key
	}
	return ids, nil
}

// isQueryMistake tells an error in a query's text from one of the hub.
func isQueryMistake(err error) bool {
	var bad *query.SyntaxError
	return errors.As(err, &bad) || errors.Is(err, query.ErrTooLong)
}
