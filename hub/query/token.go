package query

import "strings"

type tokenKind int

const (
	tokenEnd        tokenKind = iota
	tokenName                 // a bare name: deviceId, tags, $version
	tokenQuotedName           // a name in double brackets: [[group]]
	tokenKeyword              // text is in upper case
	tokenNumber               // value is int64 or float64
	tokenString               // value is string
	tokenSymbol               // text is the symbol
	tokenIllegal              // text is what is wrong
)

// token is one word of the text.
type token struct {
	kind  tokenKind
	text  string // the name, keyword or symbol; for tokenIllegal the problem
	raw   string // as written, for error messages
	value any
	at    position
}

// is reports whether the token is the given keyword or symbol.
func (t token) is(text string) bool {
	return (t.kind == tokenKeyword || t.kind == tokenSymbol) && t.text == text
}

// keywords are reserved: a property with such a name is written tags.[[group]].
var keywords = map[string]bool{
	"SELECT": true, "TOP": true, "AS": true, "FROM": true, "WHERE": true,
	"GROUP": true, "BY": true, "AND": true, "OR": true, "NOT": true,
	"IN": true, "NIN": true,
	"TRUE": true, "FALSE": true, "NULL": true, "UNDEFINED": true,
}

func isKeyword(name string) bool { return keywords[strings.ToUpper(name)] }

// foreign are words of other SQL dialects, with the answer a writer needs who
// tries them here.
var foreign = map[string]string{
	"ORDER":    "ORDER BY is not supported, results come in the order of their keys",
	"HAVING":   "HAVING is not supported",
	"LIMIT":    "LIMIT is not supported, use SELECT TOP n",
	"OFFSET":   "OFFSET is not supported",
	"DISTINCT": "DISTINCT is not supported, use GROUP BY",
	"JOIN":     "JOIN is not supported",
	"LIKE":     "LIKE is not supported, use STARTSWITH, ENDSWITH or CONTAINS",
	"BETWEEN":  "BETWEEN is not supported, use >= and <=",
	"IS":       "IS is not supported, use IS_DEFINED(path) or IS_NULL(path)",
	"EXISTS":   "EXISTS is not supported, use IS_DEFINED(path)",
}
