package query

import "strings"

// Type is what a field of a schema holds.
type Type int

const (
	Text   Type = iota // TEXT
	Number             // INTEGER or REAL
	Bool               // a number: 0 is false, anything else true
	JSON               // TEXT or JSONB: one JSON value, usually an object
)

// Schema tells [Query.Compile] where the hub keeps what a query names. All of it
// becomes SQL text as it stands, so it must be the hub's own and never contain
// anything from outside.
type Schema struct {
	// From is what follows FROM: a table, or a join.
	From string

	// Key is the SQL expression by which rows are ordered and pages continue:
	// unique, never NULL, not empty, text with the collation BINARY.
	Key string

	// Fields are what paths can name.
	Fields []Field
}

// Field is a name of the language and where its value is.
type Field struct {
	// Name is the canonical name, which also names the member of a result. It is
	// found in any case. A dot makes it a member: capabilities.iotEdge. A name
	// may continue that of a JSON field, as properties.desired.$version does,
	// and then comes before a key of the document.
	Name string

	// SQL is an expression over From that gives the value, or NULL where the
	// field is undefined. It must have the storage class of Type, and text must
	// have the collation BINARY. A bare column can be looked up in an index.
	SQL string

	Type Type
}

// node is a place in the tree that the names of the fields form.
type node struct {
	name     string // canonical spelling of the last segment
	field    *Field // nil for a mere prefix such as properties
	children []*node
}

func (n *node) child(name string) *node {
	for _, c := range n.children {
		if strings.EqualFold(c.name, name) {
			return c
		}
	}
	return nil
}

// tree arranges the fields by the segments of their names.
func (s Schema) tree() *node {
	root := &node{}
	for i := range s.Fields {
		at := root
		for _, segment := range strings.Split(s.Fields[i].Name, ".") {
			next := at.child(segment)
			if next == nil {
				next = &node{name: segment}
				at.children = append(at.children, next)
			}
			at = next
		}
		at.field = &s.Fields[i]
	}
	return root
}

// place is what a path means in a schema: a node, or a value inside the document
// of a JSON field. The zero place is a name that the schema does not have.
type place struct {
	node *node
	keys []string // the way inside the document, empty for the node itself
	name string   // canonical name of the last segment
	id   string   // equal for two paths to the same place
}

// locate resolves a path, its prefix devices. or devices.jobs. included.
func (root *node) locate(p path, source Source) place {
	p = withoutPrefix(p, source)
	at, canonical := root, make([]string, 0, len(p))
	var document place // the innermost JSON field on the way
	for i, segment := range p {
		next := at.child(segment)
		if next == nil {
			break
		}
		at = next
		canonical = append(canonical, at.name)
		if at.field != nil && at.field.Type == JSON {
			document = place{node: at, keys: p[i+1:]}
		}
	}
	found := document
	if len(canonical) == len(p) {
		found = place{node: at}
	}
	found.name = p[len(p)-1]
	if found.keys == nil && found.node != nil {
		found.name = found.node.name
	}
	names := append(canonical[:len(canonical):len(canonical)], p[len(canonical):]...)
	found.id = strings.Join(names, "\x00")
	return found
}

// withoutPrefix cuts off what a query may write before any path.
func withoutPrefix(p path, source Source) path {
	if len(p) > 1 && strings.EqualFold(p[0], "devices") {
		p = p[1:]
		if source == Jobs && len(p) > 1 && strings.EqualFold(p[0], "jobs") {
			p = p[1:]
		}
	}
	return p
}
