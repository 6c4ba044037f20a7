package backendtest

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
)

// allocated returns how many bytes the process has ever allocated.
func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

var rejectionRules = []rule{
	{
		name: "rejections",
		text: "a store that its servers do not let in, or that does not trust them, says so in the error of every call, in time and with " +
			"server and cause; no error and no description of the store holds a secret",
		test: func(t *testing.T, e *env) {
			if len(e.depth.Rejections) == 0 {
				t.Skip("the harness has no store that is rejected")
			}
			for _, r := range e.depth.Rejections {
				t.Run(r.Name, func(t *testing.T) { e.rejected(t, r) })
			}
		},
	},
}

func (e *env) rejected(t *testing.T, r Rejection) {
	s, err := r.Open(t)
	if err != nil {
		if err := r.judge(err); err != nil {
			t.Errorf("open: %v", err)
		}
		return
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	own := *e
	own.store, own.own = s, ownPrefix(t)
	if len(r.Calls) > 0 {
		awaitAnswer(t, &own, r)
	}
	for _, c := range own.calls() {
		within(t, 10*e.Timeout, c.name, func() {
			f, err := c.run(t.Context(), s, own.key(c.name))
			if len(r.Calls) > 0 && !slices.Contains(r.Calls, c.name) {
				if err != nil {
					t.Errorf("%s: error %v, want none", c.name, err)
				}
				return
			}
			if f.Outcome == driver.Done || f.Outcome == driver.Refused {
				t.Errorf("%s: outcome %v", c.name, f.Outcome)
			}
			if err := r.judge(err); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
	for _, shown := range []string{s.String(), fmt.Sprintf("%v", s), fmt.Sprintf("%+v", s)} {
		if err := r.secret(shown); err != nil {
			t.Errorf("the store's description: %v", err)
		}
	}
}

// awaitAnswer waits until a call that is allowed succeeds: the store may still be connecting.
func awaitAnswer(t *testing.T, e *env, r Rejection) {
	for _, c := range e.calls() {
		if !slices.Contains(r.Calls, c.name) {
			eventually(t, c.name+" succeeds", func() error {
				_, err := c.run(contextOf(t), e.store, e.key("await"))
				return err
			})
			return
		}
	}
}

// judge returns what is wrong with an error.
func (r Rejection) judge(err error) error {
	is := r.Is
	if is == nil {
		is = backend.ErrUnavailable
	}
	if !errors.Is(err, is) {
		return fmt.Errorf("error %w, want one that is %w", err, is)
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		if err := r.secret(text); err != nil {
			return err
		}
	}
	for _, word := range r.Words {
		if !strings.Contains(strings.ToLower(err.Error()), strings.ToLower(word)) {
			return fmt.Errorf("error %q does not contain %q", err, word)
		}
	}
	return nil
}

func (r Rejection) secret(text string) error {
	for _, s := range r.Secrets {
		if strings.Contains(text, s) {
			return errors.New("a secret is shown: " + strings.ReplaceAll(text, s, "[SECRET]"))
		}
	}
	return nil
}
