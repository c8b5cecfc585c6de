package query

// valueType is the type of an expression as far as the text and the schema
// reveal it.
type valueType int

const (
	nothing valueType = iota // always undefined
	anyType                  // a value in a JSON document, known only row by row
	number
	text
	boolean
	null
)

// The tags are the BLOBs that stand for the values without a storage class of
// their own where values of any type meet.
const (
	tagFalse = "\x00"
	tagTrue  = "\x01"
	tagNull  = "\x02"

	sqlFalse = "x'00'"
	sqlTrue  = "x'01'"
	sqlNull  = "x'02'"
)

// tagOfWord gives the tag of a JSON literal, or a text that equals no tag.
func tagOfWord(word string) string {
	switch word {
	case "false":
		return tagFalse
	case "true":
		return tagTrue
	case "null":
		return tagNull
	}
	return word
}

// operand is a compiled expression that can be read in several ways. In all of
// them SQL's NULL means undefined.
type operand struct {
	typ valueType

	// sql is the plain value when typ is known: a boolean is 0 or 1, null is its
	// tag, nothing is NULL.
	sql string

	// column says that sql is an expression of the schema. SQLite would convert
	// what such an expression is compared with to the type of the column.
	column bool

	// document and key are the arguments of json_type for anyType.
	document, key string

	// object marks a prefix of field names, such as properties: defined, but not
	// comparable.
	object bool
}

// as reads the operand as a value of type t; a value of another type is
// undefined.
func (o operand) as(t valueType) string {
	if t == anyType {
		return o.tagged()
	}
	if o.typ != anyType {
		if o.typ == t {
			return o.sql
		}
		return "NULL"
	}
	kind, value := o.kind(), o.extract()
	switch t {
	case number:
		return "(CASE WHEN " + kind + " IN ('integer','real') THEN " + value + " END)"
	case text:
		return "(CASE WHEN " + kind + " = 'text' THEN " + value + " END)"
	case boolean:
		return "(CASE " + kind + " WHEN 'true' THEN 1 WHEN 'false' THEN 0 END)"
	}
	return "NULL"
}

// tagged reads the operand in the form in which values of all types can be
// compared with = : numbers and strings plain, the rest as tags, and objects and
// arrays as undefined.
func (o operand) tagged() string {
	switch {
	case o.typ == anyType:
		return "(CASE " + o.kind() + " WHEN 'text' THEN " + o.extract() +
			" WHEN 'integer' THEN " + o.extract() + " WHEN 'real' THEN " + o.extract() +
			" WHEN 'true' THEN " + sqlTrue + " WHEN 'false' THEN " + sqlFalse +
			" WHEN 'null' THEN " + sqlNull + " END)"
	case o.typ == boolean:
		return "(CASE " + o.sql + " WHEN 1 THEN " + sqlTrue + " WHEN 0 THEN " + sqlFalse + " END)"
	case o.column:
		return "(+" + o.sql + ")" // the plus takes the column's type away
	}
	return o.sql
}

// kind gives the name of the JSON type, NULL where nothing is.
func (o operand) kind() string { return "json_type(" + o.document + "," + o.key + ")" }

func (o operand) extract() string { return "json_extract(" + o.document + "," + o.key + ")" }

// defined is 1 where the operand has a value and 0 where it has none. Only a
// path can hold an object or an array.
func (o operand) defined() string {
	switch {
	case o.object:
		return "1"
	case o.typ == anyType:
		return "(" + o.kind() + " IS NOT NULL)"
	case o.typ == nothing:
		return "0"
	}
	return "(" + o.sql + " IS NOT NULL)"
}

// kindsOf are the JSON types that a value of type t can have.
var kindsOf = map[valueType][]string{
	number:  {"integer", "real"},
	text:    {"text"},
	boolean: {"true", "false"},
	null:    {"null"},
}

// ordered tells the types whose values have an order.
func ordered(t valueType) bool { return t == number || t == text }
