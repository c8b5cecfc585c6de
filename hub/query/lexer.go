package query

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// lexer cuts a text into tokens. A mistake becomes a token too (tokenIllegal),
// so that the parser reports whichever mistake comes first in the text.
type lexer struct {
	text []rune
	next int // index of the next rune
	at   position
}

// tokenize gives the tokens of text; the last one is tokenEnd or tokenIllegal.
// start is the position of the first character.
func tokenize(text string, start position) []token {
	l := &lexer{text: []rune(text), at: start}
	var tokens []token
	for {
		t := l.token()
		tokens = append(tokens, t)
		if t.kind == tokenEnd || t.kind == tokenIllegal {
			return tokens
		}
	}
}

// peek gives the rune n places ahead, or 0 at the end of the text.
func (l *lexer) peek(n int) rune {
	if l.next+n < len(l.text) {
		return l.text[l.next+n]
	}
	return 0
}

func (l *lexer) advance(n int) {
	for range n {
		if l.text[l.next] == '\n' {
			l.at = position{line: l.at.line + 1, column: 1}
		} else {
			l.at.column++
		}
		l.next++
	}
}

// atEnd tells the end of the text from a NUL character in it.
func (l *lexer) atEnd() bool { return l.next >= len(l.text) }

func (l *lexer) token() token {
	for !l.atEnd() && unicode.IsSpace(l.peek(0)) {
		l.advance(1)
	}
	begin, at := l.next, l.at
	t := l.word()
	t.at, t.raw = at, string(l.text[begin:l.next])
	return t
}

func (l *lexer) word() token {
	switch r := l.peek(0); {
	case l.atEnd():
		return token{kind: tokenEnd}
	case r == '\'' || r == '"':
		return l.quotedString()
	case r >= '0' && r <= '9':
		return l.number()
	case r == '[' && l.peek(1) == '[':
		return l.quotedName()
	case isNameStart(r):
		return l.name()
	}
	return l.symbol()
}

func (l *lexer) symbol() token {
	switch two := string([]rune{l.peek(0), l.peek(1)}); two {
	case "<>", "!=", "<=", ">=":
		l.advance(2)
		return token{kind: tokenSymbol, text: two}
	}
	one := string(l.peek(0))
	if !strings.Contains("*+-/%=<>()[],.", one) {
		l.advance(1)
		return illegal("Unexpected character at input '%s'", excerpt(one))
	}
	l.advance(1)
	return token{kind: tokenSymbol, text: one}
}

func isNameStart(r rune) bool { return r == '_' || r == '$' || unicode.IsLetter(r) }

func isNamePart(r rune) bool {
	return isNameStart(r) || unicode.IsDigit(r) || unicode.IsMark(r)
}

func (l *lexer) name() token {
	name := l.run(isNamePart)
	if isKeyword(name) {
		return token{kind: tokenKeyword, text: strings.ToUpper(name)}
	}
	return token{kind: tokenName, text: name}
}

// run consumes the longest run of runes that belong.
func (l *lexer) run(belongs func(rune) bool) string {
	n := 0
	for l.next+n < len(l.text) && belongs(l.peek(n)) {
		n++
	}
	run := string(l.text[l.next : l.next+n])
	l.advance(n)
	return run
}

// quotedName reads [[any text]]. The name ends at the last two brackets of the
// first run of closing brackets, so that a name may end in one.
func (l *lexer) quotedName() token {
	l.advance(2)
	begin := l.next
	for !l.atEnd() {
		if l.peek(0) == ']' && l.peek(1) == ']' && l.peek(2) != ']' {
			name := string(l.text[begin:l.next])
			l.advance(2)
			if name == "" {
				return illegal("Unexpected empty name [[]]")
			}
			return token{kind: tokenQuotedName, text: name}
		}
		l.advance(1)
	}
	return illegal("Unexpected end of input, expected ]] after the name that begins here")
}

// number reads decimal and hexadecimal numbers. Whole numbers that a double
// holds exactly become int64 however they are written (5, 5.0, 0x5), so that a
// number has one form in the tree.
func (l *lexer) number() token {
	digits := l.run(func(r rune) bool { return isNamePart(r) })
	hex := strings.HasPrefix(digits, "0x") || strings.HasPrefix(digits, "0X")
	if !hex {
		if l.peek(0) == '.' && unicode.IsDigit(l.peek(1)) {
			l.advance(1)
			digits += "." + l.run(isNamePart)
		}
		exponent := strings.HasSuffix(digits, "e") || strings.HasSuffix(digits, "E")
		if sign := l.peek(0); exponent && (sign == '+' || sign == '-') {
			l.advance(1)
			digits += string(sign) + l.run(isNamePart)
		}
	}
	value, err := parseNumber(digits, hex)
	if err != nil {
		return illegal("Unexpected character at input '%s', %s", excerpt(digits), err)
	}
	return token{kind: tokenNumber, value: value}
}

func parseNumber(digits string, hex bool) (any, error) {
	notNumber := fmt.Errorf("it is not a number; a name that begins with a digit is written [[%s]]", excerpt(digits))
	if hex {
		n, err := strconv.ParseUint(digits[2:], 16, 64)
		switch {
		case err != nil:
			return nil, fmt.Errorf("it is not a hexadecimal number of at most 64 bits")
		case n > math.MaxInt64:
			return float64(n), nil
		}
		return int64(n), nil
	}
	// strconv knows more than this language: 0b1, 1_000, 0x1p-2, infinity.
	if strings.Trim(digits, "0123456789.eE+-") != "" {
		return nil, notNumber
	}
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil {
		return n, nil
	}
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil {
		if math.IsInf(f, 0) {
			return nil, fmt.Errorf("the number is too large")
		}
		return nil, notNumber
	}
	const exact = 1 << 53 // up to here every whole number is a double
	if f == math.Trunc(f) && f < exact {
		return int64(f), nil
	}
	return f, nil
}

var simpleEscapes = map[rune]rune{
	'\'': '\'', '"': '"', '\\': '\\', '/': '/',
	'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

func (l *lexer) quotedString() token {
	quote := l.peek(0)
	l.advance(1)
	var value []rune
	for !l.atEnd() {
		switch r := l.peek(0); r {
		case quote:
			l.advance(1)
			return token{kind: tokenString, value: string(value)}
		case '\\':
			escaped, length := l.escape()
			if length == 0 {
				return illegal(`Unexpected escape in a string, expected one of \' \" \\ \/ \b \f \n \r \t \uXXXX`)
			}
			value = append(value, escaped)
			l.advance(length)
		default:
			value = append(value, r)
			l.advance(1)
		}
	}
	return illegal("Unexpected end of input, expected %c after the string that begins here", quote)
}

// escape reads the escape at the backslash ahead, without consuming it: the
// character it stands for and its length in runes, 0 if it is none. A character
// beyond the basic plane is two \uXXXX, as in JSON; half of one is refused,
// because no property can hold it.
func (l *lexer) escape() (r rune, length int) {
	if r, ok := simpleEscapes[l.peek(1)]; ok {
		return r, 2
	}
	first, ok := l.hexEscape(0)
	if !ok {
		return 0, 0
	}
	if !utf16.IsSurrogate(first) {
		return first, 6
	}
	second, ok := l.hexEscape(6)
	pair := utf16.DecodeRune(first, second)
	if !ok || pair == unicode.ReplacementChar {
		return 0, 0
	}
	return pair, 12
}

// hexEscape reads \uXXXX that begins n runes ahead.
func (l *lexer) hexEscape(n int) (rune, bool) {
	if l.peek(n) != '\\' || l.peek(n+1) != 'u' {
		return 0, false
	}
	var digits [4]rune
	for i := range digits {
		digits[i] = l.peek(n + 2 + i)
	}
	code, err := strconv.ParseUint(string(digits[:]), 16, 16)
	return rune(code), err == nil
}

func illegal(format string, args ...any) token {
	return token{kind: tokenIllegal, text: fmt.Sprintf(format, args...)}
}
