package query

import (
	"strconv"
	"strings"
)

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

// The binding strengths of the operators, weakest first.
const (
	bindOr = iota + 1
	bindAnd
	bindNot
	bindCompare
	bindAdd
	bindMultiply
	bindMinus
	bindPrimary
)

var binaryBinding = map[string]int{
	"=": bindCompare, "<>": bindCompare,
	"<": bindCompare, "<=": bindCompare, ">": bindCompare, ">=": bindCompare,
	"+": bindAdd, "-": bindAdd,
	"*": bindMultiply, "/": bindMultiply, "%": bindMultiply,
}

// String gives the query in canonical form: parsing it gives the same query.
func (q *Query) String() string {
	var b strings.Builder
	b.WriteString("SELECT ")
	if q.top > 0 {
		b.WriteString("TOP " + strconv.Itoa(q.top) + " ")
	}
	if q.columns == nil {
		b.WriteString("*")
	}
	for i, c := range q.columns {
		separate(&b, i, ", ")
		c.write(&b)
	}
	b.WriteString(" FROM " + q.source.String())
	if q.where != nil {
		b.WriteString(" WHERE ")
		write(&b, q.where, bindOr)
	}
	for i, p := range q.groupBy {
		if i == 0 {
			b.WriteString(" GROUP BY ")
		}
		separate(&b, i, ", ")
		p.write(&b)
	}
	return b.String()
}

func separate(b *strings.Builder, i int, separator string) {
	if i > 0 {
		b.WriteString(separator)
	}
}

func (c column) write(b *strings.Builder) {
	if c.aggregate != "" {
		b.WriteString(c.aggregate + "(")
	}
	c.path.write(b)
	if c.aggregate != "" {
		b.WriteString(")")
	}
	if c.alias != "" {
		b.WriteString(" AS " + quoteName(c.alias))
	}
}

func (p path) write(b *strings.Builder) {
	for i, segment := range p {
		separate(b, i, ".")
		b.WriteString(quoteName(segment))
	}
}

func (p path) String() string {
	var b strings.Builder
	p.write(&b)
	return b.String()
}

// quoteName writes a name bare where the lexer would read it back as a name.
func quoteName(name string) string {
	for i, r := range name {
		if !isNamePart(r) || i == 0 && !isNameStart(r) {
			return "[[" + name + "]]"
		}
	}
	if isKeyword(name) {
		return "[[" + name + "]]"
	}
	return name
}

// binding is the strength with which a node holds its parts together.
func binding(e expr) int {
	switch e := e.(type) {
	case logical:
		if e.op == "OR" {
			return bindOr
		}
		return bindAnd
	case unary:
		if e.op == "NOT" {
			return bindNot
		}
		return bindMinus
	case binary:
		return binaryBinding[e.op]
	case membership:
		return bindCompare
	}
	return bindPrimary
}

// write appends e, in parentheses if it binds weaker than its surroundings ask.
// It adds no others, so that the result nests no deeper than the text it is from.
func write(b *strings.Builder, e expr, least int) {
	if own := binding(e); own < least {
		b.WriteString("(")
		defer b.WriteString(")")
	}
	switch e := e.(type) {
	case path:
		e.write(b)
	case literal:
		e.write(b)
	case unary:
		b.WriteString(e.op)
		if e.op == "NOT" {
			b.WriteString(" ")
		}
		write(b, e.x, binding(e))
	case binary:
		write(b, e.l, binding(e))
		b.WriteString(" " + e.op + " ")
		write(b, e.r, binding(e)+1)
	case logical:
		for i, term := range e.terms {
			separate(b, i, " "+e.op+" ")
			write(b, term, binding(e)+1)
		}
	case membership:
		e.write(b)
	case call:
		b.WriteString(e.name + "(")
		for i, arg := range e.args {
			separate(b, i, ", ")
			write(b, arg, bindOr)
		}
		b.WriteString(")")
	}
}

func (m membership) write(b *strings.Builder) {
	write(b, m.x, bindCompare)
	if m.not {
		b.WriteString(" NIN [")
	} else {
		b.WriteString(" IN [")
	}
	for i, l := range m.list {
		separate(b, i, ", ")
		l.write(b)
	}
	b.WriteString("]")
}

func (l literal) write(b *strings.Builder) {
	switch v := l.value.(type) {
	case undefined:
		b.WriteString("undefined")
	case nil:
		b.WriteString("null")
	case bool:
		b.WriteString(strconv.FormatBool(v))
	case int64:
		b.WriteString(strconv.FormatInt(v, 10))
	case float64:
		b.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
	case string:
		b.WriteString("'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(v) + "'")
	}
}
