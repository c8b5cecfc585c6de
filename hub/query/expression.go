package query

import (
	"math"
	"strings"
)

// boundedExpression reads a whole condition and refuses one that nests too deep
// for SQLite. Deep nesting of parentheses is refused on the way down already;
// what is left for the check at the end is a long chain such as 1+1+1+….
func (p *parser) boundedExpression() (expr, error) {
	at := p.current().at
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	if depth(e) > maxDepth {
		return nil, tooDeep(at)
	}
	return e, nil
}

func tooDeep(at position) error {
	return at.errorf("Unexpected depth, the expression nests deeper than %d levels", maxDepth)
}

// deeper runs a method of the parser one level down.
func (p *parser) deeper(read func() (expr, error)) (expr, error) {
	if p.nested >= maxDepth {
		return nil, tooDeep(p.current().at)
	}
	p.nested++
	defer func() { p.nested-- }()
	return read()
}

func (p *parser) expression() (expr, error) { return p.chain("OR", p.conjunction) }

func (p *parser) conjunction() (expr, error) { return p.chain("AND", p.negation) }

func (p *parser) chain(op string, operand func() (expr, error)) (expr, error) {
	first, err := operand()
	if err != nil || !p.current().is(op) {
		return first, err
	}
	terms := []expr{first}
	for p.accept(op) {
		term, err := operand()
		if err != nil {
			return nil, err
		}
		terms = append(terms, term)
	}
	return logical{op: op, terms: terms}, nil
}

func (p *parser) negation() (expr, error) {
	if !p.accept("NOT") {
		return p.comparison()
	}
	x, err := p.deeper(p.negation)
	return unary{op: "NOT", x: x}, err
}

func (p *parser) comparison() (expr, error) {
	left, err := p.sum()
	for err == nil {
		t := p.current()
		switch {
		case t.is("IN") || t.is("NIN"):
			p.advance()
			var list []literal
			list, err = p.list()
			left = membership{x: left, not: t.text == "NIN", list: list}
		case t.is("NOT") && p.tokens[p.next+1].is("IN"):
			return nil, p.unexpected("an operator; NOT IN is written NIN")
		case t.is("!="):
			left, err = p.rightOperand("<>", left, p.sum)
		case t.kind == tokenSymbol && binaryBinding[t.text] == bindCompare:
			left, err = p.rightOperand(t.text, left, p.sum)
		default:
			return left, nil
		}
	}
	return nil, err
}

func (p *parser) sum() (expr, error) { return p.arithmetic(bindAdd, p.product) }

func (p *parser) product() (expr, error) { return p.arithmetic(bindMultiply, p.signed) }

func (p *parser) arithmetic(strength int, operand func() (expr, error)) (expr, error) {
	left, err := operand()
	for err == nil {
		t := p.current()
		if t.kind != tokenSymbol || binaryBinding[t.text] != strength {
			return left, nil
		}
		left, err = p.rightOperand(t.text, left, operand)
	}
	return nil, err
}

// rightOperand consumes the operator and what stands right of it.
func (p *parser) rightOperand(op string, left expr, operand func() (expr, error)) (expr, error) {
	p.advance()
	right, err := operand()
	return binary{op: op, l: left, r: right}, err
}

func (p *parser) signed() (expr, error) {
	if !p.accept("-") {
		return p.primary()
	}
	x, err := p.deeper(p.signed)
	return unary{op: "-", x: x}, err
}

func (p *parser) primary() (expr, error) {
	t := p.current()
	switch {
	case t.is("("):
		return p.parenthesis()
	case t.is("["):
		return nil, p.unexpected("a value; a list stands only after IN and NIN")
	case t.kind == tokenName && p.tokens[p.next+1].is("("):
		return p.deeper(p.call)
	case t.kind == tokenName:
		return p.path()
	}
	l, ok := constant(t)
	if !ok {
		return nil, p.unexpected("a path, a value or a function")
	}
	p.advance()
	return l, nil
}

func (p *parser) parenthesis() (expr, error) {
	p.advance()
	e, err := p.deeper(p.expression)
	if err != nil {
		return nil, err
	}
	return e, p.expect(")")
}

// constant gives the literal that a token stands for.
func constant(t token) (literal, bool) {
	switch {
	case t.kind == tokenNumber || t.kind == tokenString:
		return literal{t.value}, true
	case t.is("TRUE"), t.is("FALSE"):
		return literal{t.text == "TRUE"}, true
	case t.is("NULL"):
		return literal{nil}, true
	case t.is("UNDEFINED"):
		return literal{undefined{}}, true
	}
	return literal{}, false
}

// list reads the constants after IN. Brackets are the documented form,
// parentheses are what many write.
func (p *parser) list() ([]literal, error) {
	closing := "]"
	if p.current().is("(") {
		closing = ")"
	} else if !p.current().is("[") {
		return nil, p.unexpected("a list of constants in brackets")
	}
	p.advance()
	var list []literal
	for {
		l, err := p.listItem()
		if err != nil {
			return nil, err
		}
		list = append(list, l)
		if !p.accept(",") {
			return list, p.expect(closing)
		}
	}
}

func (p *parser) listItem() (literal, error) {
	negative := p.accept("-")
	l, ok := constant(p.current())
	if negative {
		l.value, ok = negated(l.value)
	}
	if !ok {
		return l, p.unexpected("a constant")
	}
	p.advance()
	return l, nil
}

func negated(value any) (any, bool) {
	switch v := value.(type) {
	case int64:
		return -v, true
	case float64:
		if v == -math.MinInt64 { // the one whole number whose positive is no int64
			return int64(math.MinInt64), true
		}
		return -v, true
	}
	return nil, false
}

func (p *parser) call() (expr, error) {
	name := p.advance()
	p.advance() // the parenthesis
	canonical, f, err := lookUpFunction(name)
	if err != nil {
		return nil, err
	}
	var args []expr
	for !p.current().is(")") {
		if len(args) > 0 && !p.accept(",") {
			return nil, p.unexpected("',' or ')'")
		}
		arg, err := p.expression()
		if err != nil {
			return nil, err
		}
		args = append(args, arg)
	}
	p.advance()
	if err := f.check(canonical, args); err != nil {
		return nil, name.at.errorf("Unexpected arguments at input '%s', %s", excerpt(name.raw), err)
	}
	return call{name: canonical, args: args}, nil
}

// lookUpFunction finds a function by its name in any case and spelling.
func lookUpFunction(name token) (canonical string, f function, err error) {
	canonical = strings.ToUpper(name.text)
	if other, ok := otherSpellings[canonical]; ok {
		canonical = other
	}
	f, ok := functions[canonical]
	switch {
	case ok:
		return canonical, f, nil
	case aggregates[canonical]:
		return "", f, name.at.errorf("Unexpected aggregate at input '%s', it can only be selected", excerpt(name.raw))
	}
	return "", f, name.at.errorf("Unexpected function at input '%s', expected one of %s",
		excerpt(name.raw), strings.Join(functionNames(), ", "))
}
