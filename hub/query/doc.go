// Package query turns the IoT Hub query language into SQLite SQL.
//
// The way is text → tree → SQL. [Parse] reads a whole SELECT, [ParseCondition]
// the bare WHERE body that a job carries as its queryCondition; both give a
// [Query]. [Query.Compile] translates it for a [Schema], the hub's description
// of its tables, into one SQL text and its bound arguments.
//
// # Values
//
// A property of a twin has a JSON type or is missing, and the language keeps
// these apart where SQL would not: the number 1 equals neither '1' nor true,
// null is a value, and a missing property is undefined.
//
//   - An operator with an undefined operand gives undefined, and WHERE keeps a
//     row only when its condition is true. NOT undefined is undefined. AND and
//     OR know three values: false AND undefined is false, true OR undefined is
//     true.
//   - = between two types is false and <> is true. The order operators (<, <=,
//     >, >=) compare two numbers or two strings; anything else is undefined.
//     Strings compare by code point, with regard to case.
//   - Objects and arrays cannot be compared: a comparison with one is undefined.
//   - Arithmetic takes numbers and gives undefined for anything else; so does a
//     division by zero.
//   - SUM and AVG read the numbers of a column, MIN and MAX its numbers and
//     strings (numbers come first); other values are passed over.
//
// Keywords, function names and the names of system fields may be written in
// any case; the keys of tags and properties may not. A name the schema does not
// have is undefined, not an error. That is this package's choice: a property
// that no twin has must be allowed, and what the cloud hub says to an unknown
// system field is not documented.
//
// # How a value travels through SQL
//
// SQLite's storage classes carry the types: NULL is undefined, INTEGER and REAL
// are numbers, TEXT is a string, and a BLOB of one byte is true, false or null.
// SQLite never holds values of two classes equal and its NULL spreads as
// undefined does, so = needs no further code. Where the type of an expression
// is known from the text alone (a literal, a column, a function) the plain value
// is used, which lets SQLite look up deviceId = 'x' in its index.
//
// # What never happens
//
// Nothing a query says becomes SQL text. Literals, property names and aliases
// are bound as arguments; the SQL consists of this package's own words and of
// the schema, which the hub wrote. A query's length and depth are bounded, so
// that no text can exhaust the parser or SQLite.
//
// Functions that SQLite lacks, or has for ASCII only, are registered with the
// modernc.org/sqlite driver when the package is loaded; the SQL runs only on
// connections of that driver.
//
// Joins, sub-queries, ORDER BY, LIKE and modules are not part of this package.
package query
