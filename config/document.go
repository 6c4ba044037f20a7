package config

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

const (
	maxSize  = 256 << 10 // of a file, in bytes
	maxDepth = 32        // of its nesting; a configuration has three levels
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// A document is a configuration as it was written: names and texts, in order, not yet understood.
type document struct {
	remotes  []*section
	buses    []*item
	journals []*item
	busKeys  *ring // nil: none
	rings    []*ring
	defaults section
	caches   []*section
}

// An item is one named URL.
type item struct {
	name string
	text scalar
}

// A ring is the keys of one key ring, the first for writing.
type ring struct {
	name   string
	at     place
	keys   []*item
	broken bool // reported already
}

// A section is the fields of one remote, one cache, or the defaults.
type section struct {
	name   string
	at     place
	fields map[string]scalar
}

// A scalar is one value.
type scalar struct {
	text     string // with variables put in
	written  string // as it stands in the file
	at       place
	secrets  []string // what variables brought, and must not be shown
	unusable bool     // reported already
}

// show names the value in an error, without what came from a variable.
func (s scalar) show() string {
	switch {
	case s.at.variable != "":
		return "the value"
	case len(s.secrets) > 0:
		return "the value of " + quote(s.written)
	}
	return quote(s.text)
}

// read turns YAML into a document. What it cannot place it reports.
func read(data []byte, p *problems) *document {
	d := &document{defaults: section{at: place{path: "defaults"}, fields: map[string]scalar{}}}
	root := parse(data, p)
	if root == nil {
		return d
	}
	d.read(root, p)
	return d
}

// parse returns the root of the YAML, nil if there is none.
func parse(data []byte, p *problems) (root ast.Node) {
	if len(data) > maxSize {
		p.add(place{}, "the file has %d bytes; at most %d are read", len(data), maxSize)
		return nil
	}
	defer func() {
		if r := recover(); r != nil { // the YAML library has met a text that it cannot stand
			p.add(place{}, "this is no YAML that can be read")
			root = nil
		}
	}()
	tokens := lexer.Tokenize(string(data))
	if at := tooDeep(tokens); at != nil {
		p.add(place{line: at.Line, column: at.Column}, "nested too deeply")
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		at, text := place{}, "this is no YAML that can be read"
		if e := yaml.Error(nil); errors.As(err, &e) { // its message only: err itself shows the lines around
			text = e.GetMessage()
			if t := e.GetToken(); t != nil && t.Position != nil {
				at = place{line: t.Position.Line, column: t.Position.Column}
			}
		}
		p.add(at, "YAML: %s", text)
		return nil
	}
	for _, doc := range file.Docs {
		if doc.Body == nil {
			continue
		}
		if root != nil {
			p.add(placeOf(doc.Body, ""), "a second document: a configuration is one")
			break
		}
		root = doc.Body
	}
	return root
}

// tooDeep returns where the nesting passes maxDepth, before the parser recurses into it.
func tooDeep(tokens token.Tokens) *token.Position {
	flow, inLine, line := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, inLine = t.Position.Line, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType, token.MappingValueType:
			inLine++
		}
		if flow > maxDepth || inLine > 2*maxDepth || t.Position.IndentNum > 8*maxDepth {
			return t.Position
		}
	}
	return nil
}

var sections = []string{"remotes", "buses", "journals", "bus_keys", "encryption", "defaults", "caches"}

func (d *document) read(root ast.Node, p *problems) {
	each(root, place{}, p, func(name string, at place, value ast.Node) {
		switch name {
		case "remotes":
			eachNamed(value, at, none, p, func(name string, at place, value ast.Node) {
				d.remotes = append(d.remotes, readRemote(name, value, at, p))
			})
		case "buses":
			d.buses = readItems(value, at, none, p)
		case "journals":
			d.journals = readItems(value, at, none, p)
		case "bus_keys":
			before := len(p.list)
			keys := readItems(value, at, "", p)
			d.busKeys = &ring{name: name, at: at, keys: keys, broken: len(p.list) > before}
		case "encryption":
			eachNamed(value, at, off, p, func(name string, at place, value ast.Node) {
				before := len(p.list)
				keys := readItems(value, at, "", p)
				d.rings = append(d.rings, &ring{name: name, at: at, keys: keys, broken: len(p.list) > before})
			})
		case "defaults":
			d.defaults = *readSection("", value, at, fieldNames(cacheFields), p)
		case "caches":
			eachNamed(value, at, "", p, func(name string, at place, value ast.Node) {
				d.caches = append(d.caches, readSection(name, value, at, fieldNames(cacheFields), p))
			})
		default:
			p.add(at, "unknown field; %s", suggest(name, sections))
		}
	})
}

// eachNamed is each for things with names of the user's choice, save the word taken, which has a meaning where they are
// referred to.
func eachNamed(node ast.Node, at place, taken string, p *problems, f func(name string, at place, value ast.Node)) {
	each(node, at, p, func(name string, at place, value ast.Node) {
		switch {
		case !nameForm.MatchString(name):
			p.add(at, "a name has 1 to 64 letters, digits, '.', '_' or '-'")
		case name == taken:
			p.add(at, "the name is taken: where a cache refers to one, %s means that it has none", taken)
		default:
			f(name, at, value)
		}
	})
}

func readItems(node ast.Node, at place, taken string, p *problems) (items []*item) {
	eachNamed(node, at, taken, p, func(name string, at place, value ast.Node) {
		items = append(items, &item{name: name, text: readScalar(value, at, p)})
	})
	return items
}

// readRemote reads a remote: its fields, or its URL alone.
func readRemote(name string, node ast.Node, at place, p *problems) *section {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return readSection(name, node, at, fieldNames(remoteFields), p)
	}
	return &section{name: name, at: at, fields: map[string]scalar{"url": readScalar(node, at, p)}}
}

func readSection(name string, node ast.Node, at place, known []string, p *problems) *section {
	s := &section{name: name, at: at, fields: map[string]scalar{}}
	each(node, at, p, func(name string, at place, value ast.Node) {
		if !slices.Contains(known, name) {
			p.add(at, "unknown field; %s", suggest(name, known))
			return
		}
		s.fields[name] = readScalar(value, at, p)
	})
	return s
}

// readScalar reads one value as the text that was written: version: 1.10 is "1.10".
func readScalar(node ast.Node, at place, p *problems) scalar {
	where := placeOf(node, at.path)
	if where.line == 0 {
		where = at
	}
	s := scalar{at: where}
	switch n := node.(type) {
	case *ast.StringNode:
		s.text = n.Value
	case *ast.LiteralNode:
		s.text = n.Value.Value
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		s.text = n.GetToken().Value
	case *ast.NullNode, nil:
		p.add(where, "has no value")
		s.unusable = true
	default:
		p.add(where, "must be one value, not %s", kindOf(node))
		s.unusable = true
	}
	s.written = s.text
	return s
}

// each calls f for every field of a mapping, once for each name. A mapping without fields may be left empty.
func each(node ast.Node, at place, p *problems, f func(name string, at place, value ast.Node)) {
	var fields *ast.MapNodeIter
	switch n := node.(type) {
	case *ast.MappingNode:
		fields = n.MapRange()
	case *ast.MappingValueNode:
		fields = n.MapRange()
	case *ast.NullNode, nil:
		return
	default:
		where := placeOf(node, at.path)
		p.add(where, "must be fields, each a name, a colon and a value, not %s", kindOf(node))
		return
	}
	first := map[string]place{}
	for fields.Next() {
		key := fields.Key()
		where := placeOf(key, at.path)
		var name string
		switch k := key.(type) {
		case *ast.StringNode:
			name = k.Value
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
			name = k.GetToken().Value
		default:
			p.add(where, "a field's name must be plain text, not %s", kindOf(key))
			continue
		}
		where = where.under(name)
		if before, ok := first[name]; ok {
			p.add(where, "is there twice; first in line %d", before.line)
			continue
		}
		first[name] = where
		f(name, where, fields.Value())
	}
}

func placeOf(node ast.Node, path string) place {
	at := place{path: path}
	if node == nil {
		return at
	}
	if m, ok := node.(*ast.MappingNode); ok && len(m.Values) > 0 && !m.IsFlowStyle {
		node = m.Values[0].Key // its own token is the first colon
	} else if m, ok := node.(*ast.MappingValueNode); ok {
		node = m.Key
	}
	if t := node.GetToken(); t != nil && t.Position != nil {
		at.line, at.column = t.Position.Line, t.Position.Column
	}
	return at
}

func kindOf(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "fields"
	case *ast.SequenceNode:
		return "a list"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor, an alias or a merge; what caches share stands in defaults"
	case *ast.TagNode:
		return "a tag"
	case *ast.NullNode, nil:
		return "nothing"
	}
	return fmt.Sprintf("a %s", strings.ToLower(node.Type().String()))
}
