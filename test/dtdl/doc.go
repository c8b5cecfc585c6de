// Package dtdl reads models in the Digital Twins Definition Language, version 3,
// and tells whether a JSON value is what a model says. It is for tests: the
// device's model in docs/model is public interface, and nothing else would notice
// when the device and its model part.
//
// Read parses an interface and refuses it unless every rule of the language that
// concerns what is in it holds: the keys and required keys of each element, the
// syntax of identifiers and names, their uniqueness, the lengths, the types of enum
// values, references that lead nowhere, and the depth of schemas. A Schema then
// judges values.
//
// It is not a whole parser: no relationships, no inheritance, no extensions of the
// language, no languages other than English in texts; a model that uses them is
// refused. Microsoft's own parser is a .NET library, and is not run here. Its
// JavaScript sister (@azure/dtdl-parser 1.0.0-beta.2 of npm) was run by hand on the
// two interfaces of docs/model: it found no fault, and it found the faults that were
// made in copies of them, those of parse_test.go among them.
//
// Source of the rules: "Digital Twins Definition Language, Version 3",
// github.com/Azure/opendigitaltwins-dtdl.
package dtdl
