package policy_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
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

// capitals is a source that can be written.
type capitals map[string]string

func (c capitals) Load(_ context.Context, country string) (string, error) {
	if city, ok := c[country]; ok {
		return city, nil
	}
	return "", policy.ErrNotFound
}

func (c capitals) Store(_ context.Context, country, city string) error {
	if city == "" {
		return fmt.Errorf("no name: %w", policy.ErrNotWritten) // surely
	}
	c[country] = city
	return nil
}

func (c capitals) Delete(_ context.Context, country string) error {
	delete(c, country)
	return nil
}

func ExampleWriteThrough() {
	ctx := context.Background()
	table := capitals{"de": "Bonn"}
	cache, err := tier.New("capitals", &tier.Options[string, string]{Policy: policy.WriteThrough(table)})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cache.Close()

	fmt.Println(cache.Set(ctx, "de", "Berlin"), table["de"])
	fmt.Println(cache.Get(ctx, "de"))
	err = cache.Set(ctx, "de", "")
	fmt.Println(errors.Is(err, policy.ErrNotWritten), table["de"])
	fmt.Println(cache.Delete(ctx, "de"), len(table))
	// Output:
	// <nil> Berlin
	// Berlin <nil>
	// true Berlin
	// <nil> 0
}

func TestModesHaveNames(t *testing.T) {
	t.Parallel()
	if policy.Aside.String() != "cache-aside" || policy.Through.String() != "write-through" || policy.Mode(99).String() != "unknown" {
		t.Error(policy.Aside, policy.Mode(99))
	}
	if p := policy.CacheAside[int, int](nil); p.Loader != nil || p.Store != nil {
		t.Errorf("%+v", p)
	}
}
