package archtest

import (
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestImportsKeepTheirDirection(t *testing.T) {
	t.Parallel()
	// More than this system, because what a file takes may hang on its build tags.
	for _, goos := range []string{"linux", "darwin", "windows"} {
		t.Run(goos, func(t *testing.T) {
			t.Parallel()
			g, err := load("../..", goos)
			if err != nil {
				t.Fatal(err)
			}
			if g["github.com/strata-cache/strata/internal/archtest"] == nil {
				t.Fatalf("go list found %d packages on %s, and not this one", len(g), runtime.GOOS)
			}
			for _, v := range check(g) {
				t.Error(v)
			}
		})
	}
}

// fabricated makes a graph of lines "package: import import". Paths with a dot in their first part are of a module with
// that path, those that start with "std:" are of the standard library, all others are ours.
func fabricated(lines ...string) graph {
	g := graph{}
	add := func(path string) string {
		if std, ok := strings.CutPrefix(path, "std:"); ok {
			g[std] = &pkg{path: std}
			return std
		}
		if g[path] == nil {
			first, _, _ := strings.Cut(path, "/")
			p := &pkg{path: path, name: path[strings.LastIndexByte(path, '/')+1:], module: path}
			if !strings.Contains(first, ".") || path == "." {
				p.module, p.ours = "ours", true
			}
			g[path] = p
		}
		return path
	}
	for _, line := range lines {
		from, to, _ := strings.Cut(line, ":")
		p := g[add(from)]
		for _, d := range strings.Fields(to) {
			p.imports = append(p.imports, add(d))
		}
	}
	return g
}

func TestFabricatedViolationsAreFound(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		lines []string
		want  []string // packages and what they do, in order
	}{
		{"what the design draws is fine", []string{
			"backend/redis: backend backend/driver internal/redisconn " + goRedis,
			"internal/redisconn: internal/sentinel " + goRedis,
			"tier: backend codec policy invalidation " + ristretto,
			"cmd/strata: tier backend/redis backend/hazelcast bench internal/server github.com/spf13/cobra",
			"backend/hazelcast: " + hazelcast,
			"bench: tier",
			"backend/backendtest: backend std:testing",
			"internal/servertest: internal/server std:testing " + goleak,
		}, nil},
		{"a leaf that knows another", []string{"codec: backend"}, []string{"codec imports backend"}},
		{"a driver in the front door", []string{"tier: backend/redis"}, []string{"tier imports backend/redis"}},
		{"a client behind two imports", []string{
			"tier: invalidation", "invalidation: internal/mid", "internal/mid: internal/redisconn", "internal/redisconn: " + goRedis,
		}, []string{
			"internal/mid links " + goRedis + ", by internal/mid → internal/redisconn → " + goRedis,
			"invalidation links " + goRedis + ", by invalidation → internal/mid → internal/redisconn → " + goRedis,
			"tier links " + goRedis + ", by tier → invalidation → internal/mid → internal/redisconn → " + goRedis,
		}},
		{"one driver with the client of another", []string{"backend/redis: " + gomemcache}, []string{
			"backend/redis imports " + gomemcache + " of module " + gomemcache,
			"backend/redis links " + gomemcache + ", by backend/redis → " + gomemcache,
		}},
		{"a foreign module in a leaf", []string{"policy: example.com/x"}, []string{"policy imports example.com/x of module example.com/x"}},
		{"someone who knows a program", []string{"config: cmd/strata"}, []string{"config imports cmd/strata"}},
		{"testing in the product", []string{"codec: std:testing std:testing/fstest"}, []string{
			"codec imports testing", "codec imports testing/fstest",
		}},
		{"a suite in a program", []string{"cmd/strata: backend/backendtest"}, []string{"cmd/strata imports backend/backendtest"}},
		{"a test library outside of tests", []string{"tier/tiertest: " + goleak}, []string{"tier/tiertest imports " + goleak}},
		{"servers in what users link", []string{"backend/memory: internal/server"}, []string{"backend/memory imports internal/server"}},
		{"an internal package that joins leaves", []string{"internal/both: codec policy"}, []string{
			"internal/both imports codec", "internal/both imports policy",
		}},
		{"a package that nobody thought of", []string{"surprise:"}, []string{"surprise has no rule"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, v := range check(fabricated(tc.lines...)) {
				got = append(got, v.pkg+" "+v.what)
				if v.why == "" {
					t.Errorf("%s %s: no reason given", v.pkg, v.what)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got:\n  %s\nwant:\n  %s", strings.Join(got, "\n  "), strings.Join(tc.want, "\n  "))
			}
		})
	}
}

func TestNamesThatMisleadAreFound(t *testing.T) {
	t.Parallel()
	for _, p := range []*pkg{
		{path: "codec/fast", name: "codecfast", ours: true, module: "ours"},
		{path: "codec/codec_test", name: "codec_test", ours: true, module: "ours"},
		{path: "codec", name: "codec", ours: true, module: "ours", files: []string{"codec.go", "codec_tests.go"}},
	} {
		if got := checkNames(p); len(got) == 0 {
			t.Errorf("%+v: nothing found", p)
		}
	}
	if got := checkNames(&pkg{path: "cmd/strata", name: "main", files: []string{"main.go"}}); len(got) != 0 {
		t.Errorf("a program: %v", got)
	}
}

func TestEachRuleHasAReasonAndCanBeReached(t *testing.T) {
	t.Parallel()
	for i, r := range rules {
		if r.why == "" {
			t.Errorf("the rule for %s has no reason", r.pkg)
		}
		sample := strings.TrimSuffix(r.pkg, "/...")
		if strings.HasSuffix(r.pkg, "/...") {
			sample += "/any"
		}
		if first := slices.IndexFunc(rules, func(r rule) bool { return matches(r.pkg, sample) }); first != i {
			t.Errorf("the rule for %s never counts: that for %s is before it", r.pkg, rules[first].pkg)
		}
	}
}
