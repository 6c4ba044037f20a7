package simulation

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/weaken"
)

// The table of findings names tests and switches that there are, and all tests that are called findings.
func TestTheTableOfFindingsIsTrue(t *testing.T) {
	t.Parallel()
	const root = "../.."
	b, err := os.ReadFile(filepath.Join(root, "docs", "findings.md"))
	if err != nil {
		t.Fatal(err)
	}
	table := string(b)
	tests := map[string]map[string]bool{} // by folder
	of := func(folder string) map[string]bool {
		if tests[folder] == nil {
			tests[folder] = testsIn(t, filepath.Join(root, folder))
		}
		return tests[folder]
	}
	named := regexp.MustCompile("`([a-z/]+)\\.(Test\\w+)`").FindAllStringSubmatch(table, -1)
	for _, n := range named {
		if !of(n[1])[n[2]] {
			t.Errorf("there is no %s in %s", n[2], n[1])
		}
	}
	for name := range of("internal/simulation") {
		if strings.HasPrefix(name, "TestFinding") && !strings.Contains(table, "."+name+"`") {
			t.Errorf("%s is not in the table", name)
		}
	}
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) != 7 || !strings.Contains(row, "Test") {
			continue
		}
		if off := regexp.MustCompile("^ `([a-z-]+)`").FindStringSubmatch(cells[4]); off != nil {
			if _, err := weaken.Parse(off[1]); err != nil {
				t.Error(err)
			}
		}
	}
}

// testsIn returns the names of the tests in a folder.
func testsIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
				names[fn.Name.Name] = true
			}
		}
	}
	return names
}
