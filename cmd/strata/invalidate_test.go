package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation/redisbus"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

// A program that is running hears what is invalidated from outside, and serves new values, whatever their type.
func TestARunningCacheIsInvalidatedFromOutside(t *testing.T) {
	t.Parallel()
	type thing struct{ Version int }
	busURL, memcached := servertest.Redis(t).URL(), servertest.Memcached(t).URL()
	for backendURL, lists := range map[string]bool{busURL: true, memcached: false} {
		t.Run(backendURL, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			store, err := backend.Open(ctx, backendURL)
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			bus, err := redisbus.Open(ctx, busURL, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer bus.Close()
			version := 0
			name := servertest.Key(t)
			c, err := tier.New(name, &tier.Options[string, thing]{
				Remote: store, Bus: bus, MaxStaleness: time.Minute, OnEvent: func(e tier.Event) {
					if e.Kind == tier.EventMismatch {
						t.Error(e.Err)
					}
				},
				Policy: policy.CacheAside(policy.LoaderFunc[string, thing](func(context.Context, string) (thing, error) {
					return thing{version}, nil
				})),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			want := func(key string, v int) {
				t.Helper()
				deadline := time.Now().Add(30 * time.Second)
				for {
					got, err := c.Get(ctx, key)
					if err != nil {
						t.Fatal(err)
					}
					if got.Version == v {
						return
					}
					if time.Now().After(deadline) {
						t.Fatalf("%s has version %d, want %d", key, got.Version, v)
					}
					time.Sleep(time.Millisecond) // poll: it is heard some time after
				}
			}
			if err := c.Set(ctx, "tagged", thing{}, tier.WithTags("t")); err != nil {
				t.Fatal(err)
			}
			want("plain", 0)
			run := func(code int, text string, args ...string) {
				t.Helper()
				args = append([]string{"invalidate", "--backend", backendURL, "--bus", busURL, "--cache", name}, args...)
				if e := strata(t, "", "", nil, args...); e.code != code || !strings.Contains(e.err, text) {
					t.Errorf("strata %q: %+v", args, e)
				}
			}
			version = 1
			run(0, "", "--tag", "t", "--tag", "nobody's")
			want("tagged", 1)
			want("plain", 0)
			version = 2
			run(0, "", "--all", "--cache-version", "2") // another cache, which has nothing
			run(0, "", "--all")
			want("tagged", 2)
			want("plain", 2)
			version = 3
			run(0, "", "plain")
			want("plain", 3)
			version = 4
			if lists {
				run(0, "", "--prefix", "pl")
				want("plain", 4)
				want("tagged", 2)
			} else {
				run(exitFailure, "InvalidateTag", "--prefix", "pl")
			}
		})
	}
}
