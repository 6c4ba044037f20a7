package config

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/codec"
)

const schemaFile = "../docs/strata.schema.json"

// compiled is the schema as a validator, which also checks it against its own schema.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	parsed, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("strata.schema.json", parsed); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("strata.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// instance is a file as an editor sees it; ok is false if it is no YAML.
func instance(data []byte) (v any, ok bool) {
	if yaml.UnmarshalWithOptions(data, &v, yaml.AllowDuplicateMapKey()) != nil {
		return nil, false
	}
	b, err := json.Marshal(finite(v))
	if err != nil {
		return nil, false
	}
	v, err = jsonschema.UnmarshalJSON(bytes.NewReader(b))
	return v, err == nil
}

// finite writes the numbers that JSON has not as text.
func finite(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			v[name] = finite(v[name])
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return strings.ToLower(strings.TrimPrefix(fmt.Sprint(v), "+"))
		}
	}
	return v
}

// refusedAt returns the paths that the schema refuses, as the loader writes them.
func refusedAt(err error) (paths []string) {
	if err == nil {
		return nil
	}
	var walk func(e *jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		path := ""
		for _, name := range e.InstanceLocation {
			path = join(path, name)
		}
		if names, ok := e.ErrorKind.(*kind.PropertyNames); ok {
			for _, section := range sections { // the validator's location of a bad name is not to be relied on
				paths = append(paths, "?"+join(section, names.Property))
			}
			return
		}
		for _, cause := range e.Causes {
			walk(cause)
		}
		if len(e.Causes) == 0 {
			paths = append(paths, path)
		}
	}
	walk(err.(*jsonschema.ValidationError))
	return paths
}

// load returns the mistakes that the loader finds without the environment's overrides.
func load(data []byte, env ...string) Errors {
	p := &problems{}
	known := map[string]backend.Opener{"redis": nil, "memcached": nil, "memory": nil, "broken": nil}
	buses := map[string]BusOpener{"redis": nil, "memory": nil, "broken": nil}
	read(data, p).resolve(environ(env), Drivers{
		Stores: known, Buses: buses, Journals: map[string]JournalOpener{"redis": nil, "memory": nil, "file": nil, "broken": nil}, Pools: map[string]PoolOpener{"memcached": nil},
		Compression: func(string, int) (codec.Compressor, error) { return named(""), nil },
		Encryption:  func([]Key) (codec.Cipher, error) { return named(""), nil },
	}, p)
	p.err() // sorts
	return p.list
}

func TestTheSchemaInTheDocumentsIsUpToDate(t *testing.T) {
	t.Parallel()
	if f := flag.Lookup("rewrite"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(schemaFile, Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(schemaFile)
	if err != nil || !bytes.Equal(want, Schema()) {
		t.Errorf("docs/strata.schema.json is not what Schema returns; go test ./config -run Schema -rewrite writes it anew: %v", err)
	}
}

func TestTheSchemaTakesTheDocumentedExample(t *testing.T) {
	t.Parallel()
	_, rest, _ := strings.Cut(readDoc(t), "## A full example\n\n```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	s := compiled(t)
	for _, file := range []string{example, "", "caches:\n", "{}", "caches: {a: }", "defaults:\nremotes:"} {
		v, ok := instance([]byte(file))
		if err := s.Validate(v); err != nil || !ok {
			t.Errorf("%.40q…: %v", file, err)
		}
	}
}

// beyondSchema are mistakes that only the loader sees, besides those with variables.
var beyondSchema = regexp.MustCompile(`is too short|is too (small|large)|is longer than|is (not )?shorter than|a journal|local_cost is off|no (remote|bus|journal) has the name|` +
	`^the scheme|is there twice|the name of no|no such file|is no key|a second document|an anchor, an alias or a merge|not a tag|` +
	`^"9{8,}`) // too large a number

// Of each broken file the schema refuses nothing that the loader takes, and all that a schema can say.
func TestSchemaAndLoaderAgreeOnBrokenFiles(t *testing.T) {
	t.Parallel()
	files, _ := filepath.Glob("testdata/broken/*.yaml")
	s := compiled(t)
	compared := 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		v, ok := instance(data)
		if !ok {
			t.Logf("%s: no JSON", file)
			continue
		}
		compared++
		var env []string
		for line := range strings.Lines(string(data)) {
			if v, ok := strings.CutPrefix(strings.TrimSpace(line), "# env: "); ok {
				env = append(env, v)
			}
		}
		mistakes, refused := load(data, env...), refusedAt(s.Validate(v))
		for _, path := range refused {
			if !strings.HasPrefix(path, "?") && !found(mistakes, path) {
				t.Errorf("%s: the schema refuses %q, of which the loader says nothing", file, path)
			}
		}
		for _, e := range mistakes {
			variable := e.Line > 0 && bytes.Contains(bytes.Split(data, []byte("\n"))[e.Line-1], []byte("${"))
			if e.Path == `caches."~"` {
				continue // a null, which JSON has as the name null
			}
			if !variable && !beyondSchema.MatchString(e.Problem) && !within(refused, e.Path) {
				t.Errorf("%s: the schema takes what the loader refuses: %v", file, e)
			}
		}
	}
	if compared < 12 {
		t.Errorf("%d of %d files were compared", compared, len(files))
	}
}

// found reports whether there is a mistake at path, or right below it: an unknown name is a mistake of what holds it.
func found(mistakes Errors, path string) bool {
	for _, e := range mistakes {
		if e.Path == path || strings.HasPrefix(e.Path, path) && !strings.Contains(strings.TrimPrefix(e.Path[len(path):], "."), ".") {
			return true
		}
	}
	return false
}

// within reports whether a refusal is at path, or right above it.
func within(refused []string, path string) bool {
	for _, r := range refused {
		r = strings.TrimPrefix(r, "?")
		if found(Errors{{Path: path}}, r) {
			return true
		}
	}
	return false
}

// Whatever stands in a field, what the loader takes the schema takes.
func TestWhatTheLoaderTakesTheSchemaTakes(t *testing.T) {
	t.Parallel()
	s := compiled(t)
	values := []string{
		"", "~", "true", "false", "yes", "off", "none", "0", "-0", "1", "10", "65536", "65535", "1e6", "1.10", "0x10000", "0o17", "1_000", ".5", "+.5",
		"-.5", "0.9", "0.91", ".inf", ".nan", "10m", "1h30m", "1.5s", ".5s", "5.s", "+5s", "-5s", "10 m", "10M", "1us", "1µs", "1μs", "1ms", "64MiB", "64 MiB",
		"64MB", "64M", "1K", "64mib", "1.5GiB", "100000B", "redis://h", "redis://${H}", "REDIS://h", "main", "two words", "a/b", "a@b", "7", "v1.2-3_4",
		"${X}", "${X:-5m}", "x${X}y", "cache-aside", "write-through", "write-behind", "Cache-Aside", "block", "shed", "[]", "{}", "[a]", "{a: b}", "2001-01-01", "é", "'10m'", "\"0\"", "'1'", "'0.5'", "'true'",
	}
	refusals := map[string]int{}
	for _, f := range cacheFields {
		for _, value := range values {
			file := fmt.Appendf(nil, "remotes: {main: 'redis://r', '7': 'redis://s'}\nbuses: {main: 'redis://b'}\ncaches: {c: {remote: main, %s: %s}}", f.name, value)
			if f.name == "remote" {
				file = fmt.Appendf(nil, "remotes: {main: 'redis://r', '7': 'redis://s', 'true': 'redis://s'}\ncaches: {c: {%s: %s}}", f.name, value)
			}
			v, ok := instance(file)
			if !ok {
				continue
			}
			refused := s.Validate(v)
			if refused != nil {
				refusals[f.name]++
			}
			if mistakes := load(file, "X=5m", "H=h"); len(mistakes) == 0 && refused != nil {
				t.Errorf("%s: %s: the loader takes it, the schema says: %v", f.name, value, refused)
			}
		}
	}
	for _, f := range cacheFields {
		if refusals[f.name] < len(values)/10 {
			t.Errorf("%s: only %d of %d values are refused", f.name, refusals[f.name], len(values))
		}
	}
}
