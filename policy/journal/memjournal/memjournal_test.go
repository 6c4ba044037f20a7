package memjournal_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/journaltest"
	"github.com/strata-cache/strata/policy/journal/memjournal"
)

func TestMain(m *testing.M) { servertest.Main(m) }

func TestConformance(t *testing.T) {
	t.Parallel()
	harness := func(*testing.T) journaltest.Harness {
		return journaltest.Harness{Open: func(*testing.T) journal.Journal { return memjournal.New() }, Volatile: true}
	}
	t.Run("virtual time", func(t *testing.T) { journaltest.RunVirtual(t, harness) })
	t.Run("real time", func(t *testing.T) { journaltest.Run(t, harness) })
}

func TestConformanceOfAHub(t *testing.T) {
	t.Parallel()
	journaltest.RunVirtual(t, func(*testing.T) journaltest.Harness {
		hub := memjournal.NewHub()
		return journaltest.Harness{Open: func(*testing.T) journal.Journal { return hub.Journal() }, Shared: true}
	})
}

func TestATakeThatWaitsCostsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := memjournal.NewHub()
		o := (&journal.Options{TakeOver: time.Second}).WithDefaults()
		q, err := hub.Journal().Open("q", o)
		if err != nil {
			t.Fatal(err)
		}
		taken := make(chan []journal.Entry)
		go func() {
			entries, _ := q.Take(t.Context(), 1)
			taken <- entries
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		began := time.Now()
		q.Append(t.Context(), time.Second, []journal.Write{{Key: "k", ID: journal.NewID()}})
		if entries := <-taken; len(entries) != 1 || !time.Now().Equal(began) {
			t.Errorf("%d entries after %v", len(entries), time.Since(began))
		}
	})
}

func Example() {
	ctx := context.Background()
	j := memjournal.New()
	defer j.Close()
	q, err := j.Open("products", (*journal.Options)(nil).WithDefaults())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, value := range []string{"first", "second"} {
		q.Append(ctx, time.Second, []journal.Write{{Key: "42", Value: []byte(value), ID: journal.NewID()}})
	}
	entries, err := q.Take(ctx, 10)
	fmt.Printf("%d: %s, merged %d, %v\n", len(entries), entries[0].Value, entries[0].Merged, err)
	fmt.Println(q.Done(ctx, entries))
	// Output:
	// 1: second, merged 1, <nil>
	// <nil>
}
