package query

import (
	"database/sql"
	"fmt"
	"testing"
)

// fleet adds the devices that the rules are tested on.
func fleet(t *testing.T) *sql.DB {
	db := openDatabase(t)
	type device struct{ id, tags, desired, reported string }
	for _, d := range []device{
		{"a", `{"site":"lab","n":1,"on":true,"s":"abc","nothing":null}`, `{"building":43,"floor":3}`, `{"door":{"state":"locked","since":"2026-11-22T02:31:07.120Z"},"building":{"value":43,"ac":200}}`},
		{"b", `{"site":"Lab","n":2,"on":false,"s":"abd"}`, `{"building":43,"floor":4}`, `{"door":{"state":"unlocked"},"building":{"value":44,"ac":200}}`},
		{"c", `{"site":"office","n":1.0,"on":"true","s":"ABC"}`, `{"building":44}`, `{"door":"none"}`},
		{"d", `{"site":1,"n":"1","on":1,"s":["abc"]}`, `{}`, `{}`},
		{"e", `{"site":{"name":"lab"},"n":[1],"on":null,"s":{"abc":1}}`, `{}`, `{}`},
		{"f", `{}`, `{}`, `{}`},
	} {
		execute(t, db, "INSERT INTO devices (device_id, tags, desired, reported) VALUES (?, ?, ?, ?)", d.id, d.tags, d.desired, d.reported)
	}
	execute(t, db, "INSERT INTO devices (device_id, enabled, status_reason, connection_state, iot_edge, desired_version) VALUES ('G', 0, 'stolen', 'Connected', 1, 5)")
	for i, tags := range []string{
		`{"group":"x","my-key":1,"dotted.key":1,"it's":1,"say \"hi\"":1,"100%":1,"back\\slash":1,"größe":1,"[0]":1,"a]":1,"a b":1}`,
		`{"text":"Straße ÄÖÜ 😀","nul":"x\u0000y","empty":"","long":9007199254740993,"huge":1e20,"neg":-7,"half":2.5,"list":[1,"a",true,null,2.50,{"k":1}]}`,
	} {
		addTagged(t, db, fmt.Sprintf("x%d", i), tags)
	}
	return db
}

// TestConditions has a row for each rule of the language: the devices that a
// condition selects from the fleet.
func TestConditions(t *testing.T) {
	db := fleet(t)
	const all = "G a b c d e f x0 x1"
	for _, test := range []struct{ rule, condition, want string }{
		// Which devices at all.
		{"star selects all", "*", all},
		{"an empty condition selects all", "  ", all},
		{"true selects all", "true", all},
		{"only true selects", "false", ""},
		{"a number is not true", "1", ""},
		{"a string is not true", "'true'", ""},
		{"null is not true", "null", ""},
		{"undefined is not true", "undefined", ""},
		{"a path can be the condition", "tags.on", "a"},

		// Names.
		{"system fields in any case", "DEVICEID = 'a'", "a"},
		{"the samples write DeviceId in", "DeviceId in ['a', 'b']", "a b"},
		{"keywords in any case", "deviceId In ['a'] oR deviceId = 'b' aNd TRUE", "a b"},
		{"section names in any case", "Tags.site = 'lab' and PROPERTIES.Desired.floor = 3", "a"},
		{"keys keep their case", "tags.Site = 'lab'", ""},
		{"the prefix devices may stand", "devices.deviceId = 'a' AND devices.tags.site = 'lab'", "a"},
		{"an unknown name is undefined", "nonsense = 'a'", ""},
		{"an unknown name is undefined, negated too", "NOT nonsense = 'a'", ""},
		{"below a scalar field is nothing", "IS_DEFINED(deviceId.x)", ""},
		{"a reserved word in brackets", "tags.[[group]] = 'x'", "x0"},
		{"a minus in brackets", "tags.[[my-key]] = 1", "x0"},
		{"a dot in brackets", "tags.[[dotted.key]] = 1", "x0"},
		{"single quote in brackets", "tags.[[it's]] = 1", "x0"},
		{"double quote in brackets", `tags.[[say "hi"]] = 1`, "x0"},
		{"percent in brackets", "tags.[[100%]] = 1", "x0"},
		{"backslash in brackets", `tags.[[back\slash]] = 1`, "x0"},
		{"an index in brackets is a key", "tags.[[[0]]] = 1", "x0"},
		{"a name that ends in a bracket", "tags.[[a]]] = 1", "x0"},
		{"a space in brackets", "tags.[[a b]] = 1", "x0"},
		{"a letter of any language", "tags.größe = 1", "x0"},
		{"arrays have no keys", "IS_DEFINED(tags.list.[[0]])", ""},

		// Equality.
		{"string", "tags.site = 'lab'", "a"},
		{"double quotes", `tags.site = "lab"`, "a"},
		{"strings differ by case", "tags.site = 'Lab'", "b"},
		{"ids differ by case", "deviceId = 'g'", ""},
		{"an integer equals its double", "tags.n = 1", "a c"},
		{"a double equals its integer", "tags.n = 1.0", "a c"},
		{"hexadecimal", "properties.desired.building = 0x2b", "a b"},
		{"a number is not its string", "tags.n = '1'", "d"},
		{"true is not 1", "tags.on = true", "a"},
		{"1 is not true", "tags.on = 1", "d"},
		{"'true' is not true", "tags.on = 'true'", "c"},
		{"null is a value", "tags.on = null", "e"},
		{"null is not undefined", "tags.nothing = null", "a"},
		{"a column is not a number", "deviceId = 1", ""},
		{"a column is not a number in a document", "deviceId = tags.n", ""},
		{"another type is unequal", "tags.on <> true", "b c d e"},
		{"!= is <>", "tags.on != true", "b c d e"},
		{"undefined is neither", "tags.on = true OR tags.on <> true", "a b c d e"},
		{"a whole object is not comparable", "tags.site <> 'lab'", "b c d"},
		{"an array is not comparable", "tags.s = tags.s", "a b c"},
		{"two paths", "properties.desired.building = properties.reported.building.value", "a"},
		{"big integers are exact", "tags.long = 9007199254740993", "x1"},
		{"big integers differ from the next double", "tags.long = 9007199254740992", ""},
		{"beyond 64 bits", "tags.huge = 100000000000000000000", "x1"},
		{"comparisons are values", "(tags.n = 1) = (tags.on = true)", "a b d"},

		// Order.
		{"numbers", "tags.n > 1", "b"},
		{"numbers, or equal", "tags.n >= 1", "a b c"},
		{"the constant may stand left", "1 < tags.n", "b"},
		{"strings by code point", "tags.s < 'abd'", "a c"},
		{"no order between types", "tags.n < 'z'", "d"},
		{"no order of booleans", "tags.on < true OR tags.on >= true", ""},
		{"no order of null", "tags.nothing <= null", ""},
		{"no order is not false", "NOT tags.n < 2", "b"},
		{"order of two paths", "tags.n <= properties.desired.building", "a b c"},
		{"order of ids", "deviceId >= 'e' AND deviceId < 'x0'", "e f"},
		{"times are strings", "properties.reported.door.since > '2026-11-22T02:00:00Z'", "a"},

		// Logic.
		{"AND binds before OR", "deviceId = 'a' OR deviceId = 'b' AND false", "a"},
		{"parentheses", "(deviceId = 'a' OR deviceId = 'b') AND tags.n = 2", "b"},
		{"NOT binds after comparison", "NOT tags.n = 1", "b d"},
		{"NOT undefined is undefined", "NOT tags.site = 'lab'", "b c d"},
		{"true OR undefined", "tags.missing = 1 OR tags.n = 2", "b"},
		{"false AND undefined", "NOT (tags.n = 2 AND tags.missing = 1)", "a c d"},
		{"NOT of a non-boolean is undefined", "NOT tags.n", ""},

		// Membership.
		{"IN", "tags.site IN ['lab', 'office']", "a c"},
		{"IN in parentheses", "tags.site IN ('lab', 'office')", "a c"},
		{"IN of mixed types", "tags.n IN ['1', 2, true, null]", "b d"},
		{"IN of booleans and null", "tags.on IN [false, null]", "b e"},
		{"a column IN numbers", "deviceId IN [1, 2]", ""},
		{"a column IN mixed types", "deviceId IN [1, 'a', true]", "a"},
		{"NIN", "tags.site NIN ['lab', 1]", "b c"},
		{"NIN of another type", "deviceId NIN [1]", all},
		{"undefined in a list", "tags.n NIN [1, undefined]", ""},
		{"IN of negative numbers", "tags.neg IN [-7]", "x1"},
		{"a boolean expression IN", "(tags.n = 1) IN [false]", "b d"},
		{"null IN", "null IN [null]", all},

		// Arithmetic.
		{"precedence", "2 + 3 * 4 = 14", all},
		{"left to right", "10 - 4 - 3 = 3", all},
		{"true division", "tags.neg / 2 = -3.5", "x1"},
		{"division by zero is undefined", "tags.n / 0 = 1 OR NOT tags.n / 0 = 1", ""},
		{"remainder of fractions", "tags.half % 2 = 0.5", "x1"},
		{"remainder has the sign of the dividend", "tags.neg % 4 = -3", "x1"},
		{"remainder by zero is undefined", "1 % 0 = 0 OR 1 % 0 <> 0", ""},
		{"minus", "-tags.neg = 7 AND --tags.neg = -7", "x1"},
		{"strings are not added", "tags.s + 1 = 1 OR tags.s + 'x' <> 1", ""},
		{"whole numbers grow into doubles", "9223372036854775807 + 1 > 9223372036854775807", all},
		{"a sum of a column", "version + 1 = 7", "G"},

		// Functions.
		{"IS_DEFINED", "IS_DEFINED(tags.on)", "a b c d e"},
		{"IS_DEFINED of null", "IS_DEFINED(tags.nothing)", "a"},
		{"NOT IS_DEFINED", "NOT is_defined(tags.site)", "G f x0 x1"},
		{"IS_DEFINED of a section", "IS_DEFINED(tags)", "a b c d e f x0 x1"},
		{"IS_DEFINED of a prefix", "IS_DEFINED(properties)", all},
		{"IS_DEFINED of a column", "IS_DEFINED(statusReason)", "G"},
		{"IS_DEFINED below a string", "IS_DEFINED(properties.reported.door.state)", "a b"},
		{"IS_NULL", "IS_NULL(tags.on)", "e"},
		{"IS_NUMBER", "IS_NUMBER(tags.n)", "a b c"},
		{"IS_STRING", "IS_STRING(tags.n)", "d"},
		{"IS_STRING of undefined is false", "NOT IS_STRING(tags.n)", "G a b c e f x0 x1"},
		{"IS_BOOL", "IS_BOOL(tags.on)", "a b"},
		{"IS_BOOL of a comparison", "IS_BOOL(tags.n = 1)", "a b c d"},
		{"IS_ARRAY", "IS_ARRAY(tags.s)", "d"},
		{"IS_OBJECT", "IS_OBJECT(tags.s)", "e"},
		{"IS_OBJECT of a section", "IS_OBJECT(properties.reported) AND IS_OBJECT(properties)", all},
		{"IS_PRIMITIVE", "IS_PRIMITIVE(tags.s)", "a b c"},
		{"type tests of other things", "IS_NUMBER(1 + 1) AND IS_STRING('x') AND IS_NULL(null) AND NOT IS_NUMBER('1') AND NOT IS_BOOL(undefined)", all},
		{"STARTSWITH", "STARTSWITH(tags.s, 'ab')", "a b"},
		{"STARTS_WITH", "STARTS_WITH(tags.s, 'ab')", "a b"},
		{"ENDSWITH", "ENDSWITH(tags.s, 'c')", "a"},
		{"ENDS_WITH the empty string", "ENDS_WITH(tags.s, '')", "a b c"},
		{"CONTAINS", "CONTAINS(tags.s, 'B')", "c"},
		{"% is no wildcard", "CONTAINS(tags.s, '%') OR STARTSWITH(tags.s, 'a%')", ""},
		{"text functions need text", "NOT CONTAINS(tags.s, 'B')", "a b"},
		{"LOWER", "LOWER(tags.s) = 'abc'", "a c"},
		{"LOWER of all letters", "LOWER(tags.text) = 'straße äöü 😀'", "x1"},
		{"UPPER of an id", "UPPER(deviceId) = 'G'", "G"},
		{"LENGTH counts characters", "LENGTH(tags.text) = 12", "x1"},
		{"LENGTH with a NUL", "LENGTH(tags.nul) = 3", "x1"},
		{"a NUL does not end a string", `ENDSWITH(tags.nul, '\u0000y') AND tags.nul = 'x\u0000y'`, "x1"},
		{"CONCAT", "CONCAT(deviceId, '/', tags.s) = 'a/abc'", "a"},
		{"SUBSTRING counts from 0", "SUBSTRING(tags.text, 3, 3) = 'aße'", "x1"},
		{"SUBSTRING to the end", "SUBSTRING(tags.s, 1) = 'bc'", "a"},
		{"SUBSTRING beyond the end", "SUBSTRING(tags.s, 9, 9) = ''", "a b c"},
		{"SUBSTRING before the start", "IS_STRING(SUBSTRING(tags.s, -1))", ""},
		{"INDEX_OF counts characters", "INDEX_OF(tags.text, '😀') = 11 AND INDEX_OF(tags.text, 'x') = -1", "x1"},
		{"ABS", "ABS(tags.neg) = 7", "x1"},
		{"FLOOR and CEILING", "FLOOR(tags.half) = 2 AND CEILING(tags.half) = 3", "x1"},
		{"SIGN", "SIGN(tags.neg) = -1", "x1"},
		{"SQUARE, SQRT, POWER, EXP", "SQUARE(3) = 9 AND SQRT(9) = 3 AND POWER(2, 10) = 1024 AND EXP(0) = 1", all},
		{"SQRT of a negative number", "IS_NUMBER(SQRT(tags.neg))", ""},
		{"AS_NUMBER", "AS_NUMBER(tags.n) = 1", "a c d"},
		{"AS_NUMBER of a word", "IS_NUMBER(AS_NUMBER(tags.site))", "d"},
		{"ARRAY_CONTAINS", "ARRAY_CONTAINS(tags.list, 2.5) AND ARRAY_CONTAINS(tags.list, 'a') AND ARRAY_CONTAINS(tags.list, null)", "x1"},
		{"ARRAY_CONTAINS keeps types apart", "ARRAY_CONTAINS(tags.list, '1') OR ARRAY_CONTAINS(tags.list, false)", ""},
		{"ARRAY_CONTAINS of no array", "NOT ARRAY_CONTAINS(tags.n, 2)", "e"},

		// System fields.
		{"status", "status = 'disabled'", "G"},
		{"connectionState", "connectionState = 'Connected'", "G"},
		{"a Boolean field", "capabilities.iotEdge = true", "G"},
		{"a Boolean field is no number", "capabilities.iotEdge = 1 OR capabilities.iotEdge = 0", ""},
		{"$version of a section", "properties.desired.$version = 5", "G"},
		{"$metadata of a section", "IS_DEFINED(properties.desired.$metadata.$lastUpdated)", all},
		{"an acknowledged property", "properties.reported.building.value = 43 AND properties.reported.building.ac = 200", "a"},
	} {
		t.Run(test.rule, func(t *testing.T) {
			q, err := ParseCondition(test.condition)
			if err != nil {
				t.Fatal(err)
			}
			if got := keysOf(run(t, db, q, Page{})); got != test.want {
				t.Errorf("%s\ngot  %s\nwant %s", test.condition, got, test.want)
			}
		})
	}
}
