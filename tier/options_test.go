package tier_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
	"github.com/strata-cache/strata/tier/tiertest"
)

func TestNewNamesEveryBadOption(t *testing.T) {
	t.Parallel()
	_, err := tier.New("a/b", &tier.Options[struct{ N int }, string]{
		Version: "{", TTL: 1, LocalTTL: -1, SoftTTL: -1, NegativeTTL: 1, Jitter: 2, MaxStaleness: 1, LoadTimeout: -1,
		FenceWait: -1, LocalCost: -1, MaxBody: -1, Policy: policy.Policy[struct{ N int }, string]{Mode: 99},
	})
	if err == nil {
		t.Fatal("taken")
	}
	for _, name := range []string{
		"name", "Version", "TTL", "LocalTTL", "SoftTTL", "NegativeTTL", "Jitter", "MaxStaleness", "LoadTimeout", "FenceWait",
		"LocalCost", "MaxBody", "Policy", "Options.Key",
	} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	if _, err := tier.New[int, int]("ok", &tier.Options[int, int]{LocalCost: 1}); err == nil {
		t.Error("a tiny LocalCost was taken")
	}
	c, err := tier.New[int, int]("ok", nil)
	if err != nil {
		t.Fatalf("no options: %v", err)
	}
	c.Close()
}

type (
	named string
	word  uint16
)

// roundTrip checks that two keys are two entries of a remote tier, under the form given.
func roundTrip[K comparable](t *testing.T, a, b K, form string) {
	t.Helper()
	env := tiertest.New(t)
	c := open(t, &tier.Options[K, string]{Remote: env.Store, LocalCost: -1})
	must(t, c.SetMany(t.Context(), map[K]string{a: "a", b: "b"}))
	for k, v := range map[K]string{a: "a", b: "b"} {
		if got, err := c.Get(t.Context(), k); got != v || err != nil {
			t.Errorf("key %v: %q, %v", k, got, err)
		}
	}
	if r := env.Store.Get(t.Context(), "test/1/{"+form+"}")[0]; r.Record == nil {
		t.Errorf("key %v is not at %q", a, form)
	}
}

func TestKeysHaveAForm(t *testing.T) {
	t.Parallel()
	roundTrip(t, int8(-5), 5, "-5")
	roundTrip(t, word(7), 70, "7")
	roundTrip(t, uint64(1<<63), 0, "9223372036854775808")
	roundTrip(t, true, false, "true")
	roundTrip(t, named("x"), "y", "x")
	roundTrip(t, [3]byte{1, 2, 3}, [3]byte{1, 2, 4}, "AQID")
	roundTrip(t, netip.MustParseAddr("::1"), netip.MustParseAddr("127.0.0.1"), "::1")
	roundTrip(t, "{", "%7B", "%7B")
	roundTrip(t, "}{", "%7D%7B", "%7D%7B")
	roundTrip(t, "%", "%25", "%25")
	roundTrip(t, "", " ", "")
}
