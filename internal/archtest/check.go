package archtest

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// pkg is what the rules look at. Imports are those of the files that are not tests.
type pkg struct {
	path    string // relative to the module for ours, "." being its root; the import path otherwise
	name    string
	module  string // "" for the standard library
	ours    bool
	imports []string // keys of a graph
	files   []string
}

// graph holds packages by import path.
type graph map[string]*pkg

// violation is one broken rule.
type violation struct{ pkg, what, why string }

func (v violation) String() string { return fmt.Sprintf("%s %s\n\twhy not: %s", v.pkg, v.what, v.why) }

// check returns what breaks the rules, sorted.
func check(g graph) []violation {
	var found []violation
	for _, p := range g {
		if !p.ours {
			continue
		}
		found = append(found, checkNames(p)...)
		found = append(found, checkTesting(g, p)...)
		found = append(found, checkRule(g, p)...)
		found = append(found, checkClients(g, p)...)
	}
	slices.SortFunc(found, func(a, b violation) int { return strings.Compare(a.String(), b.String()) })
	return slices.Compact(found)
}

// checkRule compares direct imports with the table.
func checkRule(g graph, p *pkg) []violation {
	var found []violation
	top := matchesAny(tops, p.path)
	i := slices.IndexFunc(rules, func(r rule) bool { return matches(r.pkg, p.path) })
	if i < 0 && !top {
		return []violation{{p.path, "has no rule", "each package states what it may import; add a row to internal/archtest/table.go with the reason"}}
	}
	for _, imported := range p.imports {
		d := g[imported]
		switch {
		case d == nil || d.module == "":
		case d.ours && matchesAny(tops, d.path):
			if !top {
				found = append(found, violation{p.path, "imports " + d.path, "programs, benchmarks, integration tests and examples know everything, and nothing knows them"})
			}
		case top:
		case d.ours && matchesAny(forTests, d.path) && !matchesAny(forTests, p.path):
			found = append(found, violation{p.path, "imports " + d.path, "it serves tests and the command line; users must not link it"})
		case d.ours && !matchesAny(rules[i].ours, d.path):
			found = append(found, violation{p.path, "imports " + d.path, rules[i].why})
		case !d.ours && !slices.Contains(rules[i].modules, d.module) && !slices.Contains(testLibraries, d.module):
			found = append(found, violation{p.path, "imports " + imported + " of module " + d.module, "it may take " + list(rules[i].modules) + ": " + rules[i].why})
		}
	}
	return found
}

// checkTesting keeps testing, the suites that import it, and test libraries out of programs.
func checkTesting(g graph, p *pkg) []violation {
	var found []violation
	for _, imported := range p.imports {
		d := g[imported]
		switch {
		case strings.HasPrefix(imported, "testing") && (imported == "testing" || imported[len("testing")] == '/') && !suite(p.path):
			found = append(found, violation{p.path, "imports " + imported, "only suites, in folders named …test, may do so outside of _test.go: testing registers flags and makes programs larger"})
		case d == nil:
		case d.ours && suite(d.path) && !suite(p.path):
			found = append(found, violation{p.path, "imports " + d.path, "a suite imports testing, and with it so would this package"})
		case !d.ours && slices.Contains(testLibraries, d.module) && !slices.Contains(exempt[p.path], d.module):
			found = append(found, violation{p.path, "imports " + imported, "test libraries belong in _test.go files"})
		}
	}
	return found
}

// checkClients looks at all dependencies, not only direct ones.
func checkClients(g graph, p *pkg) []violation {
	if matchesAny(tops, p.path) {
		return nil
	}
	var found []violation
	for module, chain := range reach(g, p) {
		for _, c := range clients {
			if c.module == module && !matchesAny(c.in, p.path) {
				found = append(found, violation{p.path, "links " + module + ", by " + strings.Join(chain, " → "), c.why})
			}
		}
	}
	return found
}

// checkNames finds folders and files whose names do not say what they are.
func checkNames(p *pkg) []violation {
	var found []violation
	folder := path.Base(p.path)
	if p.name != "main" && p.path != "." && p.name != folder {
		found = append(found, violation{p.path, "is package " + p.name, "folder and package have one name"})
	}
	if strings.HasSuffix(p.name, "_test") || strings.HasSuffix(folder, "_test") {
		found = append(found, violation{p.path, "ends in _test", "the go tool gives that ending a meaning: a suite's folder ends in test"})
	}
	for _, f := range p.files {
		base := strings.TrimSuffix(f, ".go")
		if strings.HasSuffix(base, "_tests") || strings.HasSuffix(base, "-test") {
			found = append(found, violation{p.path, "has the file " + f, "the go tool runs only files that end in _test.go"})
		}
	}
	return found
}

// reach returns the third-party modules that p links, each with the shortest chain of imports that leads there.
func reach(g graph, p *pkg) map[string][]string {
	type step struct {
		p     *pkg
		chain []string
	}
	found := map[string][]string{}
	seen := map[*pkg]bool{p: true}
	for queue := []step{{p, []string{p.path}}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		if at.p.module != "" && !at.p.ours && found[at.p.module] == nil {
			found[at.p.module] = at.chain
		}
		for _, imported := range at.p.imports {
			if d := g[imported]; d != nil && d.module != "" && !seen[d] {
				seen[d] = true
				queue = append(queue, step{d, append(slices.Clone(at.chain), d.path)})
			}
		}
	}
	return found
}

// suite reports whether a package is made for tests, which its folder says by ending in test.
func suite(p string) bool {
	return strings.HasSuffix(path.Base(p), "test")
}

func matches(pattern, p string) bool {
	if tree, ok := strings.CutSuffix(pattern, "/..."); ok {
		return p == tree || strings.HasPrefix(p, tree+"/")
	}
	return pattern == p
}

func matchesAny(patterns []string, p string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool { return matches(pattern, p) })
}

func list(modules []string) string {
	if len(modules) == 0 {
		return "no third-party module"
	}
	return strings.Join(modules, ", ")
}
