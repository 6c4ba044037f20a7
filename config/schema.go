package config

import "encoding/json"

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

// definitions are the forms of values, by the type that the table of fields names. The loader takes what YAML takes for a number
// or a boolean as the text that was written; where such a text can be right, they are allowed.
var definitions = object{
	"name":       object{"pattern": nameForm.String()},
	typeURLOnly:  object{"type": "string", "pattern": `^[a-z][a-z0-9+.-]{0,31}://` + orVariable},
	typeURL:      object{"type": scalars, "pattern": `^[a-z][a-z0-9+.-]{0,31}://|` + nameForm.String() + orVariable},
	typeDuration: object{"type": "string", "pattern": `^\+?(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+$` + orVariable},
	typeText:     object{"type": scalars, "pattern": nameForm.String() + orVariable},
	typeSize: object{
		"type": []string{"integer", "string"}, "minimum": minLocalCost,
		"pattern": sizeForm.String() + orVariable,
	},
	typeNumber: object{
		"type": []string{"number", "string"}, "minimum": 0, "maximum": maxJitter,
		"pattern": `^[-+]?[.0-9]` + orVariable,
	},
}

var scalars = []string{"string", "number", "boolean"}

func schema() object {
	defs := object{"cache": sectionSchema(fields)}
	for name, definition := range definitions {
		defs[defName(name)] = definition
	}
	return object{
		"$schema":     "https://json-schema.org/draft/2020-12/schema",
		"title":       "strata configuration",
		"description": "Remote tiers, buses and caches of package config. docs/configuration.md explains it.",
		"$defs":       defs,
		"type":        []string{"object", "null"},
		"properties": object{
			"remotes":  serversSchema("Remote tiers, each a name and a URL. A remote tier is shared by all processes."),
			"buses":    serversSchema("Invalidation buses, each a name and a URL. A bus keeps the local tiers of all processes coherent."),
			"defaults": described(ref("cache"), "Fields of all caches that do not have them."),
			"caches": object{
				"description":          "Caches, each a name and its fields. The name is part of every remote key.",
				"type":                 []string{"object", "null"},
				"propertyNames":        ref("name"),
				"additionalProperties": ref("cache"),
			},
		},
		"additionalProperties": false,
	}
}

func serversSchema(description string) object {
	return object{
		"description":          description,
		"type":                 []string{"object", "null"},
		"propertyNames":        object{"allOf": []object{ref("name"), {"not": object{"const": none}}}},
		"additionalProperties": ref(typeURLOnly),
	}
}

// sectionSchema is the schema of a section with these fields.
func sectionSchema(fields []field) object {
	properties := object{}
	for _, f := range fields {
		properties[f.name] = f.schema()
	}
	return object{"type": []string{"object", "null"}, "properties": properties, "additionalProperties": false}
}

func (f *field) schema() object {
	s := object{}
	switch {
	case f.typ == typeMode:
		s["anyOf"] = []object{{"enum": modes}, {"type": "string", "pattern": orVariable[1:]}}
	case f.takesOff() && f.takes("0"):
		s["anyOf"] = []object{ref(f.typ), {"enum": []any{off, 0, "0"}}}
	case f.takesOff():
		s["anyOf"] = []object{ref(f.typ), {"const": off}}
	default:
		s = ref(f.typ)
	}
	switch {
	case f.typ == typeNumber:
		s["default"] = json.Number(f.def)
	case f.def != sameAsTTL:
		s["default"] = f.def
	}
	return described(s, f.meaning)
}

// takes reports whether a text is a value of the field.
func (f *field) takes(text string) bool { return f.set(&settings{}, text) == "" }

// takesOff reports whether the field can be turned off.
func (f *field) takesOff() bool { return f.takes(off) && f.typ != typeURL && f.typ != typeText }

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
