package backendtest

import (
	"errors"
	"sync"
	"testing"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

var closeRules = []rule{
	{
		name: "after",
		text: "every call after Close is ErrClosed, and writes nothing",
		test: func(t *testing.T, e *env) {
			s := open(t, e.Harness)
			b, _ := value("b")
			add(t, s, e.key("Delete"), b)
			if err := s.Close(); err != nil {
				t.Fatalf("Close: %v", err)
			}
			e.eachCall(t, func(t *testing.T, c call, key string) {
				f, err := c.run(contextOf(t), s, key)
				if !errors.Is(err, backend.ErrClosed) {
					t.Errorf("error %v, want ErrClosed", err)
				}
				if f.Outcome == driver.Done || f.Outcome == driver.Refused {
					t.Errorf("outcome %v", f.Outcome)
				}
				if c.name == "Delete" {
					want(t, e.store, key, b)
				}
			})
		},
	},
	{
		name: "twice",
		text: "Close is idempotent, also from many goroutines at once, and without any call before it",
		test: func(t *testing.T, e *env) {
			s := open(t, e.Harness)
			rally(func(int) {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
		},
	},
	{
		name: "during calls",
		text: "Close ends the calls of others: they answer or say ErrClosed, and never miss what is there",
		test: func(t *testing.T, e *env) {
			s := open(t, e.Harness)
			b, token := value("b")
			add(t, s, e.key("a"), b)
			var busy, done sync.WaitGroup
			busy.Add(16)
			for range 16 {
				done.Go(func() { // ends when the Store is closed, waited for below
					answered := sync.OnceFunc(busy.Done)
					defer answered()
					for {
						r := s.Get(contextOf(t), e.key("a"), e.key("a"))[1]
						if r.Err == nil && record.TokenOf(r.Record) != token {
							t.Errorf("Get: %s", describe(r.Record))
							return
						}
						f := s.Write(contextOf(t), driver.Op{Key: e.key("a"), Step: record.Step{Verb: record.Remove, Expect: record.NewToken()}})[0]
						if f.Outcome == driver.Done || f.Outcome == driver.Refused && record.TokenOf(f.Found) != token {
							t.Errorf("Write: %s", show(f))
							return
						}
						answered()
						for _, err := range []error{r.Err, f.Err} {
							if err != nil && !errors.Is(err, backend.ErrClosed) {
								t.Errorf("error %v, want ErrClosed", err)
							}
							if err != nil {
								return
							}
						}
					}
				})
			}
			busy.Wait()
			within(t, 10*e.Timeout, "Close", func() {
				if err := s.Close(); err != nil {
					t.Errorf("Close: %v", err)
				}
			})
			done.Wait()
			want(t, e.store, e.key("a"), b)
		},
	},
}
