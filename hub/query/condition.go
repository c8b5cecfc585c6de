package query

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// compiler translates the expressions of one query. It collects the arguments
// that the SQL refers to as ?1, ?2, ….
type compiler struct {
	root   *node
	source Source
	args   []any
	keys   map[string]string // parameters of JSON paths that were used before
}

// bind adds an argument and gives the parameter for it. This is the only way by
// which anything of a query's text gets into the statement.
func (c *compiler) bind(value any) string {
	c.args = append(c.args, value)
	return "?" + strconv.Itoa(len(c.args))
}

// bindKeys binds the SQLite path to a value in a document: $."a"."b". SQLite
// reads what is in the quotes as a JSON string, so that any key can be written.
func (c *compiler) bindKeys(keys []string) string {
	var b strings.Builder
	b.WriteString("$")
	for _, key := range keys {
		b.WriteString("." + jsonText(key))
	}
	if parameter, ok := c.keys[b.String()]; ok {
		return parameter
	}
	parameter := c.bind(b.String())
	c.keys[b.String()] = parameter
	return parameter
}

// jsonText gives s as a JSON string.
func jsonText(s string) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(s); err != nil {
		panic("query: encode a string: " + err.Error()) // cannot happen
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func (c *compiler) compile(e expr) operand {
	switch e := e.(type) {
	case path:
		return c.reference(c.root.locate(e, c.source))
	case literal:
		return c.literal(e)
	case unary:
		x := c.compile(e.x)
		if e.op == "NOT" {
			return operand{typ: boolean, sql: "(NOT " + x.as(boolean) + ")"}
		}
		return operand{typ: number, sql: "(-" + x.as(number) + ")"}
	case binary:
		return c.binary(e)
	case logical:
		terms := make([]string, len(e.terms))
		for i, term := range e.terms {
			terms[i] = c.compile(term).as(boolean)
		}
		return operand{typ: boolean, sql: balanced(" "+e.op+" ", terms)}
	case membership:
		return c.membership(e)
	case call:
		return c.call(e)
	}
	panic("query: unknown kind of expression") // the parser makes no other
}

// balanced joins the terms of an associative operator to a tree of the least
// depth: SQLite limits the depth, and a ladder of a thousand ORs would reach it.
func balanced(operator string, terms []string) string {
	if len(terms) == 1 {
		return terms[0]
	}
	half := len(terms) / 2
	return "(" + balanced(operator, terms[:half]) + operator + balanced(operator, terms[half:]) + ")"
}

// reference compiles a path.
func (c *compiler) reference(p place) operand {
	if p.node == nil {
		return operand{typ: nothing, sql: "NULL"}
	}
	field := p.node.field
	switch {
	case field == nil:
		return operand{typ: nothing, sql: "NULL", object: true}
	case field.Type == JSON:
		return operand{typ: anyType, document: "(" + field.SQL + ")", key: c.bindKeys(p.keys)}
	case field.Type == Bool:
		return operand{typ: boolean, sql: "((" + field.SQL + ") <> 0)"}
	case field.Type == Number:
		return operand{typ: number, sql: "(" + field.SQL + ")", column: true}
	}
	return operand{typ: text, sql: "(" + field.SQL + ")", column: true}
}

func (c *compiler) literal(l literal) operand {
	switch v := l.value.(type) {
	case nil:
		return operand{typ: null, sql: sqlNull}
	case bool:
		if v {
			return operand{typ: boolean, sql: "1"}
		}
		return operand{typ: boolean, sql: "0"}
	case int64, float64:
		return operand{typ: number, sql: c.bind(v)}
	case string:
		return operand{typ: text, sql: c.bind(v)}
	}
	return operand{typ: nothing, sql: "NULL"}
}

func (c *compiler) binary(e binary) operand {
	l, r := c.compile(e.l), c.compile(e.r)
	switch e.op {
	case "=":
		return operand{typ: boolean, sql: equal(l, r)}
	case "<>":
		return operand{typ: boolean, sql: "(NOT " + equal(l, r) + ")"}
	case "<", "<=", ">", ">=":
		return operand{typ: boolean, sql: order(e.op, l, r)}
	case "/":
		// SQLite divides two integers as integers.
		return operand{typ: number, sql: "(" + l.as(number) + " * 1.0 / " + r.as(number) + ")"}
	case "%":
		return operand{typ: number, sql: sqlName(remainderName) + "(" + l.as(number) + "," + r.as(number) + ")"}
	}
	return operand{typ: number, sql: "(" + l.as(number) + " " + e.op + " " + r.as(number) + ")"}
}

func equal(l, r operand) string {
	switch {
	case l.typ == nothing || r.typ == nothing:
		return "NULL"
	case l.typ == anyType || r.typ == anyType:
		return "(" + l.tagged() + " = " + r.tagged() + ")"
	case l.typ == r.typ:
		return "(" + l.sql + " = " + r.sql + ")"
	}
	return falseIfDefined(l, r)
}

// falseIfDefined is the comparison of operands whose types are known to differ.
func falseIfDefined(operands ...operand) string {
	conditions := make([]string, len(operands))
	for i, o := range operands {
		conditions[i] = o.defined()
	}
	return "(CASE WHEN " + strings.Join(conditions, " AND ") + " THEN 0 END)"
}

func order(operator string, l, r operand) string {
	compare := func(t valueType) string {
		return "(" + l.as(t) + " " + operator + " " + r.as(t) + ")"
	}
	switch {
	case ordered(l.typ):
		return compare(l.typ)
	case ordered(r.typ):
		return compare(r.typ)
	case l.typ == anyType && r.typ == anyType:
		// Both are paths, so nothing large is written twice.
		return "coalesce(" + compare(number) + "," + compare(text) + ")"
	}
	return "NULL"
}

// membership compiles IN as SQL's IN over the constants that x can equal at all.
// A constant undefined stays in the list: it makes the answer undefined where
// nothing else matches, as an OR of comparisons would.
func (c *compiler) membership(m membership) operand {
	x := c.compile(m.x)
	if x.typ == nothing {
		return operand{typ: boolean, sql: "NULL"}
	}
	var list []string
	for _, constant := range m.list {
		item := c.literal(constant)
		switch {
		case item.typ == nothing || x.typ == item.typ && x.typ != boolean:
			list = append(list, item.as(item.typ))
		case x.typ == anyType || x.typ == item.typ:
			list = append(list, item.tagged())
		}
	}
	value := x.sql
	if x.typ == anyType || x.typ == boolean {
		value = x.tagged()
	}
	answer := falseIfDefined(x)
	if len(list) > 0 {
		answer = "(" + value + " IN (" + strings.Join(list, ",") + "))"
	}
	if m.not {
		answer = "(NOT " + answer + ")"
	}
	return operand{typ: boolean, sql: answer}
}

func (c *compiler) call(e call) operand {
	f := functions[e.name]
	if f.kinds != nil {
		return operand{typ: boolean, sql: typeTest(f.kinds, c.compile(e.args[0]))}
	}
	args := make([]string, len(e.args))
	for i, arg := range e.args {
		o := c.compile(arg)
		if i == 0 && f.pathOnly {
			args[i] = o.arrayText()
			continue
		}
		args[i] = o.as(f.param(i))
	}
	return operand{typ: f.result, sql: sqlName(e.name) + "(" + strings.Join(args, ",") + ")"}
}

// arrayText is the JSON text of the value; undefined if it is not in a document.
func (o operand) arrayText() string {
	if o.typ != anyType {
		return "NULL"
	}
	return "(" + o.document + " -> " + o.key + ")"
}

// typeTest is 1 where the operand's value has one of the JSON types.
func typeTest(kinds []string, o operand) string {
	switch {
	case o.object:
		if slices.Contains(kinds, "object") {
			return "1"
		}
		return "0"
	case o.typ == anyType:
		return "coalesce(" + o.kind() + " IN ('" + strings.Join(kinds, "','") + "'),0)"
	}
	for _, kind := range kindsOf[o.typ] {
		if slices.Contains(kinds, kind) {
			return o.defined()
		}
	}
	return "0"
}
