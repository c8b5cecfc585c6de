package query

import (
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// evaluate gives the value of an expression for a twin: undefined{}, nil, bool,
// float64, string, or an object or array.
func evaluate(e expr, twin map[string]any) any {
	switch e := e.(type) {
	case path:
		var value any = twin
		for _, key := range e {
			object, _ := value.(map[string]any)
			member, ok := object[key]
			if !ok {
				return undefined{}
			}
			value = member
		}
		return value
	case literal:
		if n, ok := e.value.(int64); ok {
			return float64(n)
		}
		return e.value
	case unary:
		switch x := evaluate(e.x, twin).(type) {
		case bool:
			if e.op == "NOT" {
				return !x
			}
		case float64:
			if e.op == "-" {
				return -x
			}
		}
		return undefined{}
	case binary:
		return evaluateBinary(e.op, evaluate(e.l, twin), evaluate(e.r, twin))
	case logical:
		return evaluateLogical(e, twin)
	case membership:
		var terms []expr
		for _, l := range e.list {
			terms = append(terms, binary{op: "=", l: e.x, r: l})
		}
		found := evaluate(logical{op: "OR", terms: terms}, twin)
		if is, ok := found.(bool); ok && e.not {
			return !is
		}
		return found
	case call:
		return evaluateCall(e, twin)
	}
	panic("unknown expression")
}

// evaluateLogical looks for the value that decides, and is undefined if none does
// and not all are known.
func evaluateLogical(e logical, twin map[string]any) any {
	decides := e.op == "OR"
	var result any = !decides
	for _, term := range e.terms {
		switch evaluate(term, twin) {
		case decides:
			return decides
		case !decides:
		default:
			result = undefined{}
		}
	}
	return result
}

// kindOf names the type of a value.
func kindOf(v any) string {
	switch v.(type) {
	case undefined:
		return "undefined"
	case nil:
		return "null"
	case bool:
		return "bool"
	case float64:
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	}
	return "object"
}

func evaluateBinary(op string, l, r any) any {
	left, right := kindOf(l), kindOf(r)
	for _, kind := range []string{left, right} {
		if kind == "undefined" || kind == "object" || kind == "array" {
			return undefined{}
		}
	}
	switch {
	case op == "=":
		return left == right && l == r
	case op == "<>":
		return left != right || l != r
	case left == "string" && right == "string":
		return evaluateOrder(op, strings.Compare(l.(string), r.(string)))
	case left == "number" && right == "number":
		a, b := l.(float64), r.(float64)
		if value, ok := map[string]float64{"+": a + b, "-": a - b, "*": a * b, "/": a / b, "%": math.Mod(a, b)}[op]; ok {
			if b == 0 && (op == "/" || op == "%") {
				return undefined{}
			}
			return value
		}
		switch {
		case a < b:
			return evaluateOrder(op, -1)
		case a > b:
			return evaluateOrder(op, 1)
		}
		return evaluateOrder(op, 0)
	}
	return undefined{}
}

func evaluateOrder(op string, comparison int) any {
	if result, ok := map[string]bool{
		"<": comparison < 0, "<=": comparison <= 0, ">": comparison > 0, ">=": comparison >= 0,
	}[op]; ok {
		return result
	}
	return undefined{}
}

func evaluateCall(e call, twin map[string]any) any {
	args := make([]any, len(e.args))
	for i, arg := range e.args {
		args[i] = evaluate(arg, twin)
	}
	kind := kindOf(args[0])
	if wanted, ok := strings.CutPrefix(e.name, "IS_"); ok {
		switch wanted {
		case "DEFINED":
			return kind != "undefined"
		case "PRIMITIVE":
			return kind == "null" || kind == "bool" || kind == "number" || kind == "string"
		}
		return kind == strings.ToLower(wanted)
	}
	if e.name == "ARRAY_CONTAINS" {
		list, ok := args[0].([]any)
		want := kindOf(args[1])
		if !ok || want == "undefined" || want == "object" || want == "array" {
			return undefined{}
		}
		return slices.Contains(list, args[1])
	}
	for _, arg := range args[1:] {
		if kindOf(arg) != kind {
			return undefined{}
		}
	}
	switch first := args[0].(type) {
	case float64:
		switch e.name {
		case "ABS":
			return math.Abs(first)
		case "FLOOR":
			return math.Floor(first)
		}
	case string:
		return evaluateText(e.name, first, args[len(args)-1].(string))
	}
	return undefined{}
}

func evaluateText(name, first, second string) any {
	switch name {
	case "LOWER":
		return strings.ToLower(first)
	case "LENGTH":
		return float64(utf8.RuneCountInString(first))
	case "CONCAT":
		return first + second
	case "STARTSWITH":
		return strings.HasPrefix(first, second)
	case "ENDSWITH":
		return strings.HasSuffix(first, second)
	case "CONTAINS":
		return strings.Contains(first, second)
	case "INDEX_OF":
		before, _, ok := strings.Cut(first, second)
		if !ok {
			return -1.0
		}
		return float64(utf8.RuneCountInString(before))
	}
	return undefined{}
}
