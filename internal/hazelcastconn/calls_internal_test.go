package hazelcastconn

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// used are the methods of the library's map that strata calls. What is not here has a trap: a lock whose context ends is granted
// later and kept; Set and Put overwrite a fence; SetTTL may hit one; GetAll fails as a whole.
var used = []string{"ContainsKey", "Get", "GetKeySetWithPredicate", "PutIfAbsentWithTTL", "RemoveIfSame", "ReplaceIfSame", "Size"}

// The near cache serves old values for seconds, and the library waits without an end where a call has no deadline. Every
// function that is given a map is given the context to use it with, by Do, which sets a deadline.
func TestOnlySafeCallsAreMadeAndAllHaveADeadline(t *testing.T) {
	t.Parallel()
	for _, dir := range []string{".", "../../backend/hazelcast", "../../invalidation/hazelcastbus"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(source), "NearCache") {
				t.Errorf("%s names the near cache", name)
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, name, source, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if f, ok := n.(*ast.FuncLit); ok {
					checkCalls(t, fset, f)
				}
				return true
			})
		}
	}
}

// checkCalls checks a function whose last parameter is a map and whose first one is a context.
func checkCalls(t *testing.T, fset *token.FileSet, f *ast.FuncLit) {
	params := f.Type.Params.List
	if len(params) != 2 || len(params[1].Names) != 1 {
		return
	}
	pointer, ok := params[1].Type.(*ast.StarExpr)
	if !ok {
		return
	}
	if typ, ok := pointer.X.(*ast.SelectorExpr); !ok || typ.Sel.Name != "Map" {
		return
	}
	ctx, m := params[0].Names[0].Name, params[1].Names[0].Name
	ast.Inspect(f.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		if x, ok := method.X.(*ast.Ident); !ok || x.Name != m {
			return true
		}
		at := fset.Position(call.Pos())
		if !slices.Contains(used, method.Sel.Name) {
			t.Errorf("%v: %s is not among %v", at, method.Sel.Name, used)
		}
		if first, ok := call.Args[0].(*ast.Ident); !ok || first.Name != ctx {
			t.Errorf("%v: %s is not called with the context of Do", at, method.Sel.Name)
		}
		return true
	})
}
