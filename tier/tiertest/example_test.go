package tiertest_test

import (
	"fmt"
	"testing"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

// A test of what an application does during an outage of the remote tier.
func Example() {
	test := func(t *testing.T) {
		env := tiertest.New(t)
		source := tiertest.NewSource[int, string]()
		source.Put(1, "one")
		names := tiertest.Node(t, env, "names", &tier.Options[int, string]{Policy: policy.CacheAside(source)})

		env.Remote.Down()
		v, err := names.Get(t.Context(), 1)
		if v != "one" || err != nil || source.Loads() != 1 {
			t.Errorf("got %q, %v after %d loads", v, err, source.Loads())
		}
	}
	ok := testing.RunTests(func(_, _ string) (bool, error) { return true, nil }, []testing.InternalTest{{Name: "TestOutage", F: test}})
	fmt.Println("passed:", ok)
	// Output: passed: true
}
