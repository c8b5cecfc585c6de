package main

import (
	"fmt"
	"strings"
	"testing"

	"latchd/hub/query"
)

// However many devices a job told and however long their names are, each is asked
// once, and no query is longer than a hub takes.
func TestQueryBatches(t *testing.T) {
	for _, size := range []int{1, 10, 128} {
		var ids []string
		for i := range 1000 {
			ids = append(ids, fmt.Sprintf("%0*d", size, i))
		}
		asked := 0
		for left := ids; len(left) > 0; {
			n := queryBatch(left)
			text := "SELECT " + answerColumns + " FROM devices WHERE " + amongCondition(left[:n])
			if len(text) > query.MaxLength {
				t.Fatalf("names of %d: %d characters for %d devices", size, len(text), n)
			}
			asked, left = asked+n, left[n:]
		}
		if asked != len(ids) {
			t.Errorf("names of %d: %d of %d were asked", size, asked, len(ids))
		}
	}
	if n := queryBatch([]string{strings.Repeat("x", 2*queryRoom), "y"}); n != 1 {
		t.Errorf("of a name that is too long and another: %d", n)
	}
}

func TestAmongCondition(t *testing.T) {
	if got, want := amongCondition([]string{"a", "o'brien"}), `deviceId IN ['a',"o'brien"]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
