package query

import (
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

const (
	// maxDepth bounds how deep a condition nests. People and tools write fewer
	// than ten levels; SQLite refuses a tree of more than 1000, and one level
	// here becomes up to four there.
	maxDepth = 64

	// maxColumns bounds the SELECT and GROUP BY lists, well below SQLite's 2000.
	maxColumns = 100
)

// conditionPrefix is what the hub puts before a condition. Positions in errors
// count from its beginning.
const conditionPrefix = "SELECT * FROM devices WHERE "

// Parse reads a SELECT. The error is a [*SyntaxError] or wraps [ErrTooLong].
func Parse(text string) (*Query, error) {
	p, err := newParser(text, position{line: 1, column: 1})
	if err != nil {
		return nil, err
	}
	return p.query()
}

// ParseCondition reads the queryCondition of a job: what would follow WHERE in a
// SELECT over devices. "*" and an empty text select every device. The errors are
// those of [Parse].
func ParseCondition(text string) (*Query, error) {
	p, err := newParser(text, position{line: 1, column: 1 + len(conditionPrefix)})
	if err != nil {
		return nil, err
	}
	return p.condition()
}

// parser reads tokens by recursive descent. Each method is entered at the first
// token of what it reads and leaves the token after it.
type parser struct {
	tokens []token
	next   int // index of the current token
	nested int // how deep the methods for expressions are in each other
}

func newParser(text string, start position) (*parser, error) {
	if !utf8.ValidString(text) {
		return nil, start.errorf("Unexpected character, the text is not UTF-8")
	}
	if utf8.RuneCountInString(text) > MaxLength {
		return nil, fmt.Errorf("%s%w", parseFailed, ErrTooLong)
	}
	return &parser{tokens: tokenize(text, start)}, nil
}

func (p *parser) current() token { return p.tokens[p.next] }

// advance goes to the next token. The last token is never passed: nothing
// accepts it.
func (p *parser) advance() token {
	t := p.tokens[p.next]
	p.next++
	return t
}

// accept consumes the current token if it is the given keyword or symbol.
func (p *parser) accept(text string) bool {
	if p.current().is(text) {
		p.next++
		return true
	}
	return false
}

func (p *parser) expect(text string) error {
	if p.accept(text) {
		return nil
	}
	return p.unexpected("'" + text + "'")
}

// unexpected is the error for the current token when something else was due.
func (p *parser) unexpected(expected string) error {
	t := p.current()
	switch t.kind {
	case tokenIllegal:
		return t.at.errorf("%s", t.text)
	case tokenEnd:
		return t.at.errorf("Unexpected end of input, expected %s", expected)
	}
	explanation := "expected " + expected
	if word, ok := p.foreignWord(); ok {
		explanation = word
	}
	return t.at.errorf("Unexpected character at input '%s', %s", excerpt(t.raw), explanation)
}

// foreignWord looks for a word of another SQL dialect at the current token and
// the one before it: DISTINCT passes for a path until the next word comes.
func (p *parser) foreignWord() (string, bool) {
	for _, i := range []int{p.next, p.next - 1} {
		if i < 0 || p.tokens[i].kind != tokenName {
			continue
		}
		if explanation, ok := foreign[strings.ToUpper(p.tokens[i].text)]; ok {
			return explanation, true
		}
	}
	return "", false
}

// finish gives the query if nothing follows it.
func (p *parser) finish(q *Query) (*Query, error) {
	if p.current().kind != tokenEnd {
		return nil, p.unexpected("an operator or the end")
	}
	return q, nil
}

func (p *parser) query() (*Query, error) {
	q := &Query{}
	for _, clause := range []func(*Query) error{p.selectClause, p.fromClause, p.whereClause, p.groupClause} {
		if err := clause(q); err != nil {
			return nil, err
		}
	}
	return p.finish(q)
}

func (p *parser) condition() (*Query, error) {
	q := &Query{}
	switch first := p.current(); {
	case first.kind == tokenEnd:
		return q, nil
	case first.is("*"):
		p.advance()
		return p.finish(q)
	case first.is("SELECT"):
		// To the letter what the cloud hub says: people search for this text.
		return nil, first.at.errorf("Unexpected character at input 'SELECT'")
	case first.is("FROM"):
		return nil, first.at.errorf("Unexpected character at input 'FROM', modules are not supported; " +
			"a condition over devices is only what follows WHERE")
	}
	where, err := p.boundedExpression()
	if err != nil {
		return nil, err
	}
	q.where = where
	return p.finish(q)
}

func (p *parser) selectClause(q *Query) error {
	if err := p.expect("SELECT"); err != nil {
		return err
	}
	if p.accept("TOP") {
		n, ok := p.current().value.(int64)
		if !ok || n < 1 || n > math.MaxInt32 {
			return p.unexpected("a whole number of at least 1")
		}
		p.advance()
		q.top = int(n)
	}
	if p.accept("*") {
		return nil
	}
	for {
		c, err := p.column()
		if err != nil {
			return err
		}
		if q.columns = append(q.columns, c); len(q.columns) > maxColumns {
			return c.at.errorf("Unexpected column, at most %d are allowed", maxColumns)
		}
		if !p.accept(",") {
			return nil
		}
	}
}

func (p *parser) column() (c column, err error) {
	first := p.current()
	c.at = first.at
	if first.kind != tokenName {
		return c, p.unexpected("'*', a path or an aggregate")
	}
	if p.tokens[p.next+1].is("(") {
		c.aggregate, c.path, err = p.aggregate()
	} else {
		c.path, err = p.path()
	}
	if err != nil || !p.accept("AS") {
		return c, err
	}
	alias := p.current()
	if alias.kind != tokenName && alias.kind != tokenQuotedName {
		return c, p.unexpected("a name after AS")
	}
	p.advance()
	c.alias = alias.text
	return c, nil
}

var aggregates = map[string]bool{"COUNT": true, "AVG": true, "SUM": true, "MIN": true, "MAX": true}

func (p *parser) aggregate() (name string, of path, err error) {
	name = strings.ToUpper(p.current().text)
	if !aggregates[name] {
		return "", nil, p.unexpected("COUNT, AVG, SUM, MIN or MAX; no other function can be selected")
	}
	p.advance()
	p.advance() // the parenthesis
	if name == "COUNT" {
		if !p.accept(")") {
			return "", nil, p.unexpected("')', because COUNT() takes no argument")
		}
		return name, nil, nil
	}
	if of, err = p.path(); err != nil {
		return "", nil, err
	}
	return name, of, p.expect(")")
}

func (p *parser) fromClause(q *Query) error {
	if err := p.expect("FROM"); err != nil {
		return err
	}
	at := p.current()
	if at.kind != tokenName {
		return p.unexpected("devices or devices.jobs")
	}
	name, err := p.path()
	if err != nil {
		return err
	}
	switch strings.ToLower(strings.Join(name, ".")) {
	case "devices":
		q.source = Devices
	case "devices.jobs":
		q.source = Jobs
		if q.columns != nil {
			return q.columns[0].at.errorf("Unexpected column, devices.jobs supports only SELECT *")
		}
	case "devices.modules":
		return at.at.errorf("Unexpected character at input 'devices.modules', modules are not supported")
	default:
		return at.at.errorf("Unexpected character at input '%s', expected devices or devices.jobs", excerpt(name.String()))
	}
	return nil
}

func (p *parser) whereClause(q *Query) (err error) {
	if p.accept("WHERE") {
		q.where, err = p.boundedExpression()
	}
	return err
}

func (p *parser) groupClause(q *Query) error {
	group := p.current()
	if !p.accept("GROUP") {
		return nil
	}
	if err := p.expect("BY"); err != nil {
		return err
	}
	if q.columns == nil {
		return group.at.errorf("Unexpected character at input '%s', SELECT * cannot be grouped", group.raw)
	}
	for {
		at := p.current().at
		path, err := p.path()
		if err != nil {
			return err
		}
		if q.groupBy = append(q.groupBy, path); len(q.groupBy) > maxColumns {
			return at.errorf("Unexpected path, at most %d are allowed after GROUP BY", maxColumns)
		}
		if !p.accept(",") {
			return nil
		}
	}
}

// path reads name{.name}. Only the first name cannot be in brackets.
func (p *parser) path() (path, error) {
	if p.current().kind != tokenName {
		return nil, p.unexpected("a path such as deviceId or tags.site")
	}
	names := path{p.advance().text}
	for p.accept(".") {
		switch t := p.current(); t.kind {
		case tokenName, tokenQuotedName:
			names = append(names, p.advance().text)
		case tokenKeyword:
			return nil, p.unexpected("a name; a reserved word is written [[" + t.raw + "]]")
		default:
			return nil, p.unexpected("a name")
		}
	}
	return names, nil
}
