package policy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/strata-cache/strata/policy"
)

func ExampleCacheAside() {
	capitals := map[string]string{"fr": "Paris"}
	p := policy.CacheAside(policy.LoaderFunc[string, string](func(_ context.Context, country string) (string, error) {
		if c, ok := capitals[country]; ok {
			return c, nil
		}
		return "", fmt.Errorf("no country %q: %w", country, policy.ErrNotFound)
	}))
	fmt.Println(p.Mode)
	fmt.Println(p.Loader.Load(context.Background(), "fr"))
	_, err := p.Loader.Load(context.Background(), "xx")
	fmt.Println(err, errors.Is(err, policy.ErrNotFound))
	// Output:
	// cache-aside
	// Paris <nil>
	// no country "xx": not found true
}

func TestModesHaveNames(t *testing.T) {
	t.Parallel()
	if policy.Aside.String() != "cache-aside" || policy.Mode(99).String() != "unknown" {
		t.Error(policy.Aside, policy.Mode(99))
	}
	if p := policy.CacheAside[int, int](nil); p.Loader != nil || p.Store != nil {
		t.Errorf("%+v", p)
	}
}
