package query

import (
	"strconv"
	"strings"
)

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
