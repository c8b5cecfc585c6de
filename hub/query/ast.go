package query

// Source is what a query selects from.
type Source int

const (
	Devices Source = iota // FROM devices: one row per twin
	Jobs                  // FROM devices.jobs: one row per job and device
)

// String gives the source as a query writes it.
func (s Source) String() string {
	if s == Jobs {
		return "devices.jobs"
	}
	return "devices"
}

// ItemType is the value of the response header x-ms-item-type. The C# SDK reads
// it with regard to case and fails without it.
type ItemType string

const (
	Twin      ItemType = "Twin"      // SELECT * FROM devices
	DeviceJob ItemType = "DeviceJob" // SELECT * FROM devices.jobs
	Raw       ItemType = "Raw"       // any other list of columns
)

// Query is a parsed query. It is immutable and may be compiled many times, from
// many goroutines. The zero value is SELECT * FROM devices.
type Query struct {
	source  Source
	top     int      // 0: all
	columns []column // nil: *
	where   expr     // nil: all rows
	groupBy []path
}

// Source says which schema [Query.Compile] wants.
func (q *Query) Source() Source { return q.source }

// ItemType says what the rows are.
func (q *Query) ItemType() ItemType {
	switch {
	case q.columns != nil:
		return Raw
	case q.source == Jobs:
		return DeviceJob
	}
	return Twin
}

// column is one item of a SELECT list: a path, or an aggregate of a path.
type column struct {
	aggregate string // COUNT, AVG, SUM, MIN, MAX; empty for a plain path
	path      path   // nil for COUNT
	alias     string // empty: named after the path
	at        position
}

// expr is a node of a condition: path, literal, unary, binary, logical,
// membership or call.
type expr interface{ isExpr() }

type (
	// path is a dotted name, prefix included: devices.tags.site. The first
	// segment is a bare name.
	path []string

	// literal is undefined{}, nil (null), bool, int64, float64 or string.
	literal struct{ value any }

	// unary is NOT x or -x.
	unary struct {
		op string
		x  expr
	}

	// binary is a comparison or arithmetic; <> stands for != too.
	binary struct {
		op   string
		l, r expr
	}

	// logical is a chain of at least two AND or OR. It is one node and not a
	// ladder of them, because a machine-written OR of a thousand device ids is
	// long but not deep.
	logical struct {
		op    string
		terms []expr
	}

	// membership is x IN [...] or x NIN [...].
	membership struct {
		x    expr
		not  bool
		list []literal
	}

	// call is a function of the table in functions.go, by its canonical name.
	call struct {
		name string
		args []expr
	}

	undefined struct{}
)

func (path) isExpr()       {}
func (literal) isExpr()    {}
func (unary) isExpr()      {}
func (binary) isExpr()     {}
func (logical) isExpr()    {}
func (membership) isExpr() {}
func (call) isExpr()       {}

// depth is the height of a tree; a leaf has 1.
func depth(e expr) int {
	deepest := 0
	for _, child := range children(e) {
		deepest = max(deepest, depth(child))
	}
	return deepest + 1
}

func children(e expr) []expr {
	switch e := e.(type) {
	case unary:
		return []expr{e.x}
	case binary:
		return []expr{e.l, e.r}
	case logical:
		return e.terms
	case membership:
		return []expr{e.x}
	case call:
		return e.args
	}
	return nil
}
