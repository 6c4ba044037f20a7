package config

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/strata-cache/strata/backend"
)

func readDoc(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// rows returns the cells of the table that begins with this head.
func rows(t *testing.T, doc, head string) (table [][]string) {
	t.Helper()
	_, rest, ok := strings.Cut(doc, "\n"+head+"\n")
	if !ok {
		t.Fatalf("no table %s", head)
	}
	for line := range strings.Lines(rest) {
		if !strings.HasPrefix(line, "|") {
			break
		}
		if strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		table = append(table, cells)
	}
	return table
}

// The document has a row for each field, in order, with its type, default, meaning and least value; and no other.
func TestTheDocumentHasEveryField(t *testing.T) {
	t.Parallel()
	doc := readDoc(t)
	checkTable(t, cacheFields, rows(t, doc, "| field | type | default | meaning |"))
	checkTable(t, remoteFields, rows(t, doc, "| field of a remote | type | default | meaning |"))
	var named []string
	for _, row := range rows(t, doc, "| section | holds |") {
		named = append(named, strings.Trim(row[0], "`"))
	}
	if !slices.Equal(named, sections) {
		t.Errorf("the document has the sections %q, the code %q", named, sections)
	}
	for _, m := range modes {
		if !strings.Contains(doc, "`"+m+"`: ") {
			t.Errorf("mode %s is not explained", m)
		}
	}
	for _, c := range compressions {
		if !strings.Contains(doc, "`"+c+"` (") {
			t.Errorf("compression %s is not explained", c)
		}
	}
}

func checkTable[S any](t *testing.T, fields []field[S], table [][]string) {
	t.Helper()
	var documented []string
	for _, row := range table {
		if len(row) != 4 {
			t.Fatalf("a row of %d cells: %q", len(row), row)
		}
		name := strings.Trim(row[0], "`")
		documented = append(documented, name)
		f := fieldNamed(fields, name)
		if f == nil {
			t.Errorf("%s is in the document and not in the code", name)
			continue
		}
		if row[1] != f.typ || row[2] != f.def {
			t.Errorf("%s: the document says %q, default %q; the code %q, default %q", name, row[1], row[2], f.typ, f.def)
		}
		if row[3] != f.meaning || f.meaning == "" {
			t.Errorf("%s: the document says\n%s\nand the code\n%s", name, row[3], f.meaning)
		}
		least := regexp.MustCompile(`at least ([0-9]+\w+)`)
		documentedLeast, said := "", ""
		if m := least.FindStringSubmatch(row[3]); m != nil {
			documentedLeast = m[1]
		}
		for _, tiny := range []string{"1ns", "1B"} { // too small for every field that has a least value
			if m := least.FindStringSubmatch(f.set(new(S), tiny)); m != nil {
				said = m[1]
			}
		}
		if said != documentedLeast {
			t.Errorf("%s: at least %q in the document, %q in the code", name, documentedLeast, said)
		}
		if f.takesOff() != strings.Contains(row[3], "`off`") {
			t.Errorf("%s: takes off: %t, and the document says otherwise", name, f.takesOff())
		}
	}
	if !slices.Equal(documented, fieldNames(fields)) {
		t.Errorf("the document has %q, the code %q", documented, fieldNames(fields))
	}
}

// What the code takes as the default of each field is what stands in the table.
func TestDefaultsAreTaken(t *testing.T) {
	t.Parallel()
	s := base()
	for _, f := range cacheFields {
		var alone settings
		if slices.Contains(derived, f.def) {
			continue
		}
		if problem := f.set(&alone, f.def); problem != "" {
			t.Errorf("%s: the default %q %s", f.name, f.def, problem)
		}
	}
	p := &problems{}
	c := read([]byte("caches: {c: {}}"), p).resolve(nil, Drivers{}, p).caches["c"]
	if p.err() != nil || c.settings != s || c.remote != nil || c.bus != nil {
		t.Errorf("a cache without fields is %+v, not %+v; %v", c.settings, s, p.err())
	}
}

// The full example, which another test loads, shows every field and section.
func TestTheExampleInTheDocumentShowsEveryField(t *testing.T) {
	t.Parallel()
	_, rest, _ := strings.Cut(readDoc(t), "## A full example\n\n```yaml\n")
	example, _, _ := strings.Cut(rest, "```")
	for _, name := range slices.Concat(fieldNames(cacheFields), fieldNames(remoteFields), sections) {
		if !regexp.MustCompile(`(?m)^ *` + name + `:`).MatchString(example) {
			t.Errorf("the example does not show %s", name)
		}
	}
}

// The messages in the document are the real ones.
func TestTheMessagesInTheDocumentAreReal(t *testing.T) {
	t.Parallel()
	_, rest, _ := strings.Cut(readDoc(t), "## Mistakes\n")
	_, rest, _ = strings.Cut(rest, "```\n")
	want, _, _ := strings.Cut(rest, "\n```")
	p := &problems{file: "strata.yaml"}
	file := "\nremotes:\n  main: memory://\ncaches:\n  products:\n    remote: mian\n    tll: 5m\n    max_staleness: 100ms\n"
	d := read([]byte(file), p)
	env := environ([]string{"STRATA_CACHES_PRODUCT_TTL=1m"})
	d.override(env, p)
	d.resolve(env, Drivers{Stores: map[string]backend.Opener{"memory": nil}}, p)
	if err := p.err(); err == nil || err.Error() != want {
		t.Errorf("got:\n%v\nthe document has:\n%s", err, want)
	}
}

// The variables in the document's table do what it says.
func TestTheVariablesInTheDocumentWork(t *testing.T) {
	t.Parallel()
	doc := readDoc(t)
	table := rows(t, doc, "| variable | replaces |")
	if len(table) != 5 {
		t.Errorf("%d rows", len(table))
	}
	for _, row := range table {
		variable, path := strings.Trim(row[0], "`"), strings.Trim(row[1], "`")
		p := &problems{}
		d := read([]byte("remotes: {main: x}\nbuses: {main: x}\njournals: {orders: x}\ncaches: {products: {}}"), p)
		d.override(map[string]string{variable: "new"}, p)
		if p.err() != nil {
			t.Errorf("%s: %v", variable, p.err())
		}
		got := map[string]string{
			"remotes.main": d.remotes[0].fields["url"].text, "buses.main": d.buses[0].text.text, "journals.orders": d.journals[0].text.text,
			"defaults.ttl": d.defaults.fields["ttl"].text, "caches.products.local_ttl": d.caches[0].fields["local_ttl"].text,
		}
		for where, text := range got {
			if (text == "new") != (where == path) {
				t.Errorf("%s: %s is %q", variable, where, text)
			}
		}
	}
}
