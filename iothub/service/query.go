package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"

	"latchd/iothub/rest"
)

// pageSize is how many rows are asked for at once: the most that a hub
// honours.
const pageSize = 100

// Query runs a query of the IoT Hub query language and gives its rows, page
// by page as they are needed. After an error there is no further row. On
// Azure the result may trail the twins by seconds.
func (c *Client) Query(ctx context.Context, text string) iter.Seq2[json.RawMessage, error] {
	return pages[json.RawMessage](ctx, c, "query", call{
		verb: http.MethodPost, path: "/devices/query", body: rest.QueryRequest{Query: text}, repeat: always,
	})
}

// Count tells how many devices a condition selects now ("*" is every device).
func (c *Client) Count(ctx context.Context, condition string) (int, error) {
	text := "SELECT COUNT() AS n FROM devices"
	if strings.TrimSpace(condition) != "*" {
		text += " WHERE " + condition
	}
	for row, err := range c.Query(ctx, text) {
		if err != nil {
			return 0, err
		}
		var count struct {
			N *int `json:"n"`
		}
		if err := json.Unmarshal(row, &count); err != nil || count.N == nil {
			return 0, errors.New("query: the hub's answer holds no count")
		}
		return *count.N, nil
	}
	return 0, nil // aggregates over nothing may have no row
}

// pages gives the elements of a result that comes in pages.
func pages[T any](ctx context.Context, c *Client, what string, q call) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		q.header = http.Header{}
		q.header.Set(rest.HeaderMaxItemCount, strconv.Itoa(pageSize))
		for {
			got, err := c.do(ctx, q)
			var rows []T
			if err == nil {
				err = got.decode(&rows)
			}
			if err != nil {
				yield(none, wrap(what, err))
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
			next := got.header.Get(rest.HeaderContinuation)
			if next == "" {
				return
			}
			// An empty page in the middle is legal; the same one for ever is not.
			if len(rows) == 0 && next == q.header.Get(rest.HeaderContinuation) {
				yield(none, fmt.Errorf("%s: the hub repeats an empty page without end", what))
				return
			}
			q.header.Set(rest.HeaderContinuation, next)
		}
	}
}

// Endpoints says where else a local hub listens.
type Endpoints struct {
	MQTT string `json:"mqtt"` // host:port for devices
}

// Endpoints asks a local hub where its devices connect. A hub that does not
// know the question, as Azure's, gives the zero value: its devices use its
// host name and the standard port.
func (c *Client) Endpoints(ctx context.Context) (Endpoints, error) {
	out, err := exchange[Endpoints](ctx, c, call{verb: http.MethodGet, path: "/__endpoints", repeat: always})
	// Which 4xx a hub gives for a path it does not know is its own affair.
	if status := refusedWith(err); status >= 400 && status < 500 && status != http.StatusTooManyRequests {
		return Endpoints{}, nil
	}
	return out, wrap("get endpoints", err)
}
