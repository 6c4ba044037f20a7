package config

import (
	"encoding/json"
	"slices"
	"strconv"
)

// Schema returns the JSON Schema (draft 2020-12) of a configuration file, for editors and checks of files without this package;
// docs/strata.schema.json is what it returned last. The bytes are the caller's.
//
// What [Load] takes, the schema takes. It cannot say all that Load refuses: a value against another one, a name that is
// nowhere, a duration that is too short, a server's parameters, the environment.
func Schema() []byte {
	data, err := json.MarshalIndent(schema(), "", "  ")
	if err != nil {
		panic(err) // maps of texts and numbers
	}
	return append(data, '\n')
}

// object is a piece of a schema.
type object = map[string]any

// Any text may bring its value by a variable, so what is known of the form of a text holds only where there is none.
const orVariable = `|\$\{`

// definitions are the forms of values, by the type that the tables of fields name. The loader takes what YAML takes for a number
// or a boolean as the text that was written; where such a text can be right, they are allowed.
var definitions = map[string]object{
	typeURLOnly:   {"type": "string", "pattern": urlPattern + orVariable},
	typeURL:       {"type": scalars, "pattern": urlPattern + "|" + nameForm.String() + orVariable},
	typeName:      {"type": scalars, "pattern": nameForm.String() + orVariable},
	typeText:      {"type": scalars, "pattern": nameForm.String() + orVariable},
	typeDuration:  {"type": "string", "pattern": `^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$` + orVariable},
	typeSize:      {"type": []string{"integer", "string"}, "minimum": 0, "pattern": sizeForm.String() + orVariable},
	typeNumber:    {"type": []string{"number", "string"}, "minimum": 0, "maximum": maxJitter, "pattern": `^[-+]?[.0-9]` + orVariable},
	typeCount:     {"type": []string{"integer", "string"}, "minimum": 0, "pattern": `^[-+]?[0-9]+$` + orVariable},
	typeMode:      oneOf(modes),
	typeAlgorithm: oneOf(compressions),
	typeAnswer:    oneOf(contentions),
	typeUnreached: oneOf(unreachables),
	typeFull:      oneOf(fulls),
	typeKey:       {"type": "string", "pattern": `^` + fromFile + `.|^\$\{[A-Za-z_][A-Za-z0-9_]*\}$`},
}

const urlPattern = `^[a-z][a-z0-9+.-]{0,31}://`

var scalars = []string{"string", "number", "boolean"}

func oneOf(words []string) object {
	return object{"anyOf": []object{{"enum": words}, {"type": "string", "pattern": orVariable[1:]}}}
}

func schema() object {
	remote := sectionSchema(remoteFields)
	remote["required"] = []string{"url"}
	remote["type"] = "object"
	defs := object{
		"cache":  sectionSchema(cacheFields),
		"remote": object{"anyOf": []object{ref(typeURLOnly), remote}},
		"names":  object{"pattern": nameForm.String()},
		"ring":   object{"type": "object", "minProperties": 1, "propertyNames": ref("names"), "additionalProperties": ref(typeKey)},
	}
	for typ, definition := range definitions {
		defs[defName(typ)] = definition
	}
	properties := object{}
	for name, meaning := range map[string]struct{ of, taken, text string }{
		"remotes":    {"remote", none, "Remote tiers, each a name and a URL, or its fields. A remote tier is shared by all processes."},
		"buses":      {typeURLOnly, none, "Invalidation buses, each a name and a URL. A bus keeps the local tiers of all processes coherent."},
		"journals":   {typeURLOnly, none, "Journals, each a name and a URL. A journal keeps what caches that write behind have accepted and the source has not got yet."},
		"bus_keys":   {typeKey, "", "Keys of all buses, with which what travels is signed. The first signs, all are accepted. `unsigned: accept` beside them makes what is not signed count, too."},
		"encryption": {"ring", off, "Key rings, each a name and its keys. The first key of a ring encrypts, all decrypt."},
		"caches":     {"cache", "", "Caches, each a name and its fields. The name is part of every remote key."},
	} {
		properties[name] = object{
			"description": meaning.text, "type": []string{"object", "null"},
			"propertyNames": namesBut(meaning.taken), "additionalProperties": ref(meaning.of),
		}
	}
	properties["bus_keys"].(object)["properties"] = object{unsigned: object{"const": "accept"}}
	properties["defaults"] = described(ref("cache"), "Fields of all caches that do not have them.")
	return object{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "strata configuration",
		"description": "Remote tiers, buses, journals and caches of package config. docs/configuration.md explains it.",
		"$defs":       defs,
		"type":        []string{"object", "null"}, "properties": properties, "additionalProperties": false,
	}
}

func namesBut(taken string) object {
	if taken == "" {
		return ref("names")
	}
	return object{"allOf": []object{ref("names"), {"not": object{"const": taken}}}}
}

// sectionSchema is the schema of a section with these fields.
func sectionSchema[S any](fields []field[S]) object {
	properties := object{}
	for i := range fields {
		properties[fields[i].name] = fields[i].schema()
	}
	return object{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
}

func (f *field[S]) schema() object {
	s := ref(f.typ)
	switch {
	case f.takesOff() && f.takes("0"):
		s = object{"anyOf": []object{ref(f.typ), {"enum": []any{off, 0, "0"}}}}
	case f.takesOff() && f.typ != typeName:
		s = object{"anyOf": []object{ref(f.typ), {"const": off}}}
	}
	if n, err := strconv.Atoi(f.def); err == nil && f.typ != typeText {
		s["default"] = n
	} else if !slices.Contains(derived, f.def) {
		s["default"] = f.def
	}
	return described(s, f.meaning)
}

// takes reports whether a text is a value of the field.
func (f *field[S]) takes(text string) bool { return f.set(new(S), text) == "" }

// takesOff reports whether the field can be turned off.
func (f *field[S]) takesOff() bool {
	switch f.typ {
	case typeURL, typeURLOnly, typeText:
		return false
	}
	return f.takes(off) && f.def != none
}

func ref(name string) object { return object{"$ref": "#/$defs/" + defName(name)} }

func described(o object, text string) object {
	o["description"] = text
	return o
}

// defName turns the name of a type into that of its definition.
func defName(typ string) string {
	if typ == typeURL {
		return "reference"
	}
	return typ
}
