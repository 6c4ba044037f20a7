package backend_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/memory"
)

func TestOpenCallsTheOpenerOfTheScheme(t *testing.T) {
	t.Parallel()
	var m backend.Mux
	var opened string
	wanted := memory.New(nil)
	defer wanted.Close()
	m.Register("one", func(_ context.Context, url string) (*backend.Store, error) { opened = url; return wanted, nil })
	m.Register("two", func(context.Context, string) (*backend.Store, error) { return nil, errors.New("two") })
	got, err := m.Open(t.Context(), "one://host/path?q=1")
	if err != nil || got != wanted || opened != "one://host/path?q=1" {
		t.Errorf("Open: %v, %v, of %q", got, err, opened)
	}
	if _, err := m.Open(t.Context(), "two://host"); err == nil || err.Error() != "two" {
		t.Errorf("Open: %v, want the opener's error", err)
	}
	if got := m.Schemes(); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("Schemes: %v", got)
	}
}

func TestAnUnknownSchemeListsTheKnownOnesAndNoSecret(t *testing.T) {
	t.Parallel()
	var m backend.Mux
	for _, s := range []string{"redis", "memcached"} {
		m.Register(s, func(context.Context, string) (*backend.Store, error) { return nil, nil })
	}
	for _, u := range []string{"rediss://user:hunter2@host:1/0", "://:hunter2@host", "user:hunter2@host", "", "hunter2", "redis:hunter2@host"} {
		_, err := m.Open(t.Context(), u)
		if err == nil {
			t.Errorf("Open %q: no error", u)
			continue
		}
		if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("Open %q shows the password: %v", u, err)
		}
		if strings.Contains(u, "://") && !(strings.Contains(err.Error(), "memcached, redis")) {
			t.Errorf("Open %q: %v, want the known schemes", u, err)
		}
	}
}

func TestASchemeIsRegisteredOnce(t *testing.T) {
	t.Parallel()
	var m backend.Mux
	open := func(context.Context, string) (*backend.Store, error) { return nil, nil }
	m.Register("one", open)
	defer func() {
		if recover() == nil {
			t.Error("the second Register did not panic")
		}
	}()
	m.Register("one", open)
}

func TestImportedBackendsAreKnown(t *testing.T) {
	t.Parallel()
	if !slices.Contains(backend.Schemes(), "memory") {
		t.Errorf("Schemes: %v, want memory, which this test imports", backend.Schemes())
	}
	s, err := backend.Open(t.Context(), "memory://")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestUnknownParametersAreAllNamedBesideTheKnown(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		url    string
		known  []string
		wanted []string // in the error, none for no error
	}{
		{"x://h?a=1&b=2", []string{"a", "b", "c"}, nil},
		{"x://h", nil, nil},
		{"x://h?z=1&a=2&y=3", []string{"a", "b"}, []string{`"y"`, `"z"`, "a, b"}},
		{"x://h?z=1", nil, []string{`"z"`, "x://"}},
	} {
		u, err := url.Parse(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		err = backend.CheckParameters(u, tc.known...)
		if (err != nil) != (len(tc.wanted) > 0) {
			t.Errorf("%s: %v", tc.url, err)
		}
		for _, w := range tc.wanted {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %v, want it to name %s", tc.url, err, w)
			}
		}
	}
}
