package config_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/config"
)

// deaf is a server that does not answer a ping.
type deaf struct {
	*fake
	err error
}

func (d deaf) Ping(ctx context.Context) error {
	if d.err == nil {
		<-ctx.Done()
		return ctx.Err()
	}
	return d.err
}

func TestPingNamesAllThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	w := newWorld()
	drivers := w.drivers()
	drivers.Stores["slow"] = func(context.Context, string) (*backend.Store, error) {
		return backend.New(deaf{fake: &fake{w: w}}), nil
	}
	drivers.Stores["down"] = func(_ context.Context, url string) (*backend.Store, error) {
		return backend.New(deaf{&fake{w: w}, errors.Join(errors.New(url), backend.ErrUnavailable)}), nil
	}
	file := `
remotes:
  good: redis://one
  slow: {url: "slow://x", prefix: p}
buses: {main: "redis://one"}
caches: {c: {remote: "down://u:${SECRET}@h"}}
`
	set, err := config.Parse(t.Context(), []byte(file), []string{"SECRET=hunter2"}, drivers)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	err = set.Ping(ctx)
	want := "config: 4:15: remotes.slow.url: does not answer in time\nconfig: 6:22: caches.c.remote: does not answer: down://…@h; unavailable"
	if err == nil || err.Error() != want || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got:\n%v\nwant:\n%s", err, want)
	}
}

func TestPingOfServersThatAnswerIsNil(t *testing.T) {
	t.Parallel()
	w := newWorld()
	set := parse(t, w, "remotes: {a: 'redis://one', b: {url: 'memcached://x', membership: m}}\nbuses: {m: 'redis://one'}")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := set.Ping(ctx); err != nil {
		t.Error(err)
	}
	w.hub.Stop()
	err := set.Ping(ctx)
	var e *config.Error
	if !errors.As(err, &e) || e.Path != "buses.m" || !errors.Is(err, backend.ErrUnavailable) {
		t.Errorf("with a bus that is down: %v", err)
	}
}
