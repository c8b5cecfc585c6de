package query

import (
	"fmt"
	"strings"
)

// Page says which part of the result is wanted. The zero value is all of it.
type Page struct {
	// After is the key of the last row that was delivered; empty at the start.
	// Rows added or removed since do not move the others.
	After string

	// Delivered is how many rows the pages before had together; TOP counts them.
	Delivered int

	// Limit is the most rows to give; 0 is no limit. Ask for one more than the
	// page holds to learn whether another page follows.
	Limit int
}

// Statement is a query in SQL. Its rows have two columns, in the order of the
// first:
//
//   - key: text, the Key of the schema, or for an aggregate an opaque text for
//     the group; the value for [Page].After.
//   - item: for [Raw] the row as a JSON object, without the members that are
//     undefined; NULL for SELECT *, where the hub prints the item of that key.
type Statement struct {
	SQL  string
	Args []any // for the parameters ?1, ?2, …
}

// Compile translates the query for a schema of its [Query.Source]. The error is
// a [*SyntaxError]: mistakes in the list of columns show only when the fields are
// known.
func (q *Query) Compile(schema Schema, page Page) (Statement, error) {
	c := &compiler{root: schema.tree(), source: q.source, keys: map[string]string{}}
	columns, err := c.columns(q)
	if err != nil {
		return Statement{}, err
	}
	var sql string
	if q.grouped() {
		sql = c.groupedRows(q, schema, columns, page)
	} else {
		sql = c.plainRows(q, schema, columns, page)
	}
	return Statement{SQL: sql + c.limit(q, page), Args: c.args}, nil
}

// grouped tells the queries whose rows stand for several rows of the table.
func (q *Query) grouped() bool { return len(q.groupBy) > 0 || q.aggregates() }

func (q *Query) aggregates() bool {
	for _, col := range q.columns {
		if col.aggregate != "" {
			return true
		}
	}
	return false
}

func (c *compiler) plainRows(q *Query, schema Schema, columns []member, page Page) string {
	item := "NULL"
	if q.columns != nil {
		item = c.object(columns)
	}
	conditions := c.where(q)
	if page.After != "" {
		conditions = append(conditions, "("+schema.Key+") > "+c.bind(page.After))
	}
	return "SELECT " + schema.Key + ` AS "key", ` + item + ` AS "item" FROM ` + schema.From +
		where(conditions) + " ORDER BY " + schema.Key
}

func (c *compiler) groupedRows(q *Query, schema Schema, columns []member, page Page) string {
	var groups, keys []string
	for _, p := range q.groupBy {
		at := c.root.locate(p, c.source)
		groups = append(groups, c.groupValue(at))
		keys = append(keys, "',' || coalesce("+c.groupJSON(at)+",'')")
	}
	key := "','" // never empty, also for the one row of an aggregate over all
	if len(keys) > 0 {
		key = balanced(" || ", keys)
	}
	sql := `SELECT "key", "item" FROM (SELECT ` + key + ` AS "key", ` + c.object(columns) + ` AS "item" FROM ` +
		schema.From + where(c.where(q))
	if len(groups) > 0 {
		sql += " GROUP BY " + strings.Join(groups, ", ")
	}
	sql += ")"
	if page.After != "" {
		sql += ` WHERE "key" > ` + c.bind(page.After)
	}
	return sql + ` ORDER BY "key"`
}

func (c *compiler) where(q *Query) []string {
	if q.where == nil {
		return nil
	}
	return []string{c.compile(q.where).as(boolean)}
}

func where(conditions []string) string {
	if len(conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conditions, " AND ")
}

func (c *compiler) limit(q *Query, page Page) string {
	limit := page.Limit
	if q.top > 0 {
		left := max(q.top-page.Delivered, 0)
		if limit == 0 || left < limit {
			return " LIMIT " + c.bind(left)
		}
	}
	if limit > 0 {
		return " LIMIT " + c.bind(limit)
	}
	return ""
}

// member is a member of a JSON object and the SQL for its JSON text, NULL where
// it is undefined.
type member struct{ name, json string }

// object builds the JSON text of an object. The names are bound like all that a
// query's author wrote.
func (c *compiler) object(members []member) string {
	if len(members) == 0 {
		return "'{}'"
	}
	parts := make([]string, len(members))
	for i, m := range members {
		parts[i] = "coalesce(" + c.bind(","+jsonText(m.name)+":") + " || " + m.json + ",'')"
	}
	return "('{' || substr(" + balanced(" || ", parts) + ",2) || '}')" // without the first comma
}

// columns compiles the SELECT list.
func (c *compiler) columns(q *Query) ([]member, error) {
	grouping := map[string]bool{}
	for _, p := range q.groupBy {
		grouping[c.root.locate(p, c.source).id] = true
	}
	seen := map[string]bool{}
	var members []member
	nameless := 0
	for _, col := range q.columns {
		var at place
		if col.path != nil {
			at = c.root.locate(col.path, c.source)
		}
		switch {
		case col.alias != "":
			at.name = col.alias
		case col.aggregate != "":
			nameless++
			at.name = fmt.Sprintf("$%d", nameless) // as the cloud's engine does
		}
		if col.aggregate == "" && q.grouped() && !grouping[at.id] {
			return nil, col.at.errorf("Unexpected column '%s', expected it in GROUP BY or in an aggregate", excerpt(col.path.String()))
		}
		if seen[at.name] {
			return nil, col.at.errorf("Unexpected second column with the name '%s', expected AS and another name", excerpt(at.name))
		}
		seen[at.name] = true
		members = append(members, member{name: at.name, json: c.columnJSON(q, col, at)})
	}
	return members, nil
}

func (c *compiler) columnJSON(q *Query, col column, at place) string {
	switch {
	case col.aggregate != "":
		return c.aggregateJSON(col.aggregate, c.reference(at))
	case q.grouped():
		return c.groupJSON(at)
	}
	return c.json(at)
}

func (c *compiler) aggregateJSON(aggregate string, o operand) string {
	switch aggregate {
	case "COUNT":
		return "count(*)"
	case "SUM":
		// sum() over integers fails when it overflows; over doubles it cannot.
		return wholeNumber("sum(" + o.as(number) + " * 1.0)")
	case "AVG":
		return wholeNumber("avg(" + o.as(number) + ")")
	}
	value := "NULL" // only numbers and strings have an order
	switch {
	case o.typ == anyType:
		value = "(CASE WHEN " + o.kind() + " IN ('integer','real','text') THEN " + o.extract() + " END)"
	case ordered(o.typ):
		value = o.sql
	}
	return quoted(strings.ToLower(aggregate) + "(" + value + ")")
}

// wholeNumber prints a double as JSON: 6 and not 6.0 if it is whole and exact.
func wholeNumber(x string) string {
	return quoted("iif(abs(" + x + ") < 9007199254740992 AND " + x + " = CAST(" + x + " AS INTEGER), CAST(" + x + " AS INTEGER), " + x + ")")
}

// quoted gives a number or string as JSON text, and NULL as NULL.
func quoted(x string) string { return "nullif(json_quote(" + x + "),'null')" }

// groupValue is what GROUP BY compares. Unlike a comparison in a condition it
// tells objects and arrays apart, by their text.
func (c *compiler) groupValue(p place) string {
	o := c.reference(p)
	switch o.typ {
	case anyType:
	case number:
		// The sum keeps a field that is a constant from being read as the number
		// of a column.
		return "(" + o.sql + " + 0)"
	default:
		return c.json(p)
	}
	return "(CASE WHEN " + o.kind() + " IN ('object','array') THEN CAST(" + o.document + " -> " + o.key + " AS BLOB) ELSE " + o.tagged() + " END)"
}

// groupJSON is the value of a group. 1 and 1.0 are one group with two texts; the
// smaller stands for it, so that the answer does not depend on the order of rows.
func (c *compiler) groupJSON(p place) string { return "min(" + c.json(p) + ")" }

// json is the JSON text of what is at a place, NULL where it is undefined.
func (c *compiler) json(p place) string {
	switch {
	case p.node == nil:
		return "NULL"
	case len(p.keys) > 0:
		return "((" + p.node.field.SQL + ") -> " + c.bindKeys(p.keys) + ")"
	}
	return c.nodeJSON(p.node)
}

// nodeJSON prints a field with the fields below it: properties.desired with
// $metadata and $version, or properties, which is made of such fields only.
func (c *compiler) nodeJSON(n *node) string {
	var below string
	if len(n.children) > 0 {
		var members []member
		for _, child := range n.children {
			members = append(members, member{name: child.name, json: c.nodeJSON(child)})
		}
		below = c.object(members)
	}
	switch {
	case n.field == nil:
		return below
	case n.field.Type != JSON:
		return c.scalarJSON(n)
	case below != "":
		return "json_patch(" + n.field.SQL + ", " + below + ")"
	}
	return "json(" + n.field.SQL + ")"
}

func (c *compiler) scalarJSON(n *node) string {
	o := c.reference(place{node: n})
	if o.typ == boolean {
		return "(CASE " + o.sql + " WHEN 1 THEN 'true' WHEN 0 THEN 'false' END)"
	}
	return quoted(o.sql)
}
