package weaken_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/weaken"
)

// A testFile is what of a file with tests matters here.
type testFile struct {
	tests    map[string]bool // their names
	switches map[string]bool // names of constants of this package that it mentions
}

// testFiles reads all of them, but for those of this package.
func testFiles(t *testing.T, root fs.FS) (files []testFile) {
	t.Helper()
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || path == "internal/weaken"):
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		b, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, b, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f := testFile{map[string]bool{}, map[string]bool{}}
		ast.Inspect(parsed, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				f.tests[n.Name.Name] = true
			case *ast.SelectorExpr:
				if x, ok := n.X.(*ast.Ident); ok && x.Name == "weaken" {
					f.switches[n.Sel.Name] = true
				}
			}
			return true
		})
		files = append(files, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// constants are the identifiers of all mechanisms, in their order.
func constants(t *testing.T) (names []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), "weaken.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range parsed.Decls {
		if g, ok := d.(*ast.GenDecl); ok && g.Tok == token.CONST {
			for _, s := range g.Specs {
				if name := s.(*ast.ValueSpec).Names[0].Name; ast.IsExported(name) {
					names = append(names, name)
				}
			}
		}
	}
	if len(names) != len(weaken.All()) {
		t.Fatalf("%d constants of %d mechanisms", len(names), len(weaken.All()))
	}
	return names
}

var testName = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")

// unshown says which mechanisms are not in the table of a document with a test that is in a file where it is switched off.
func unshown(all []weaken.Mechanism, constants []string, files []testFile, document string) (problems []string) {
	for i, m := range all {
		row := ""
		for line := range strings.Lines(document) {
			if strings.HasPrefix(line, "| `"+m.String()+"` |") {
				row = line
			}
		}
		named := testName.FindAllStringSubmatch(row, -1)
		if len(named) == 0 {
			problems = append(problems, m.String()+" is in no row with a test")
		}
		for _, name := range named {
			if !slices.ContainsFunc(files, func(f testFile) bool { return f.tests[name[1]] && f.switches[constants[i]] }) {
				problems = append(problems, m.String()+" is not switched off where "+name[1]+" is, or there is no such test")
			}
		}
	}
	return problems
}

// A mechanism that no test misses may have stopped to work.
func TestEveryMechanismIsShownToMatter(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../docs/checker.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range unshown(weaken.All(), constants(t), testFiles(t, os.DirFS("../..")), string(document)) {
		t.Error("docs/checker.md: " + problem)
	}
}

func TestAMechanismThatIsNotShownIsFound(t *testing.T) {
	t.Parallel()
	all, names := []weaken.Mechanism{weaken.Lease}, []string{"Lease"}
	files := []testFile{{tests: map[string]bool{"TestA": true}, switches: map[string]bool{"Lease": true}}, {tests: map[string]bool{"TestB": true}}}
	for document, want := range map[string]int{
		"| `lease` | | `TestA` |":          0,
		"| `lease` | | `TestA`, `TestB` |": 1,
		"| `lease` | | `TestC` |":          1,
		"| `lease` | straddle-load | |":    1,
		"| `fence` | | `TestA` |":          1,
	} {
		if got := unshown(all, names, files, document); len(got) != want {
			t.Errorf("%s: %q", document, got)
		}
	}
}
