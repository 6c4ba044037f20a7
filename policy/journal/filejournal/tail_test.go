package filejournal_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
)

// A machine that crashes may have on its disk any part of what was not put there on purpose.
func TestATailThatIsCutShortLosesItsEndAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "journal")
	o := &filejournal.Options{Sync: filejournal.Interval, Interval: time.Hour}
	j := open(t, path, o)
	defer j.Close()
	q, err := j.Open("q", (*journal.Options)(nil).WithDefaults())
	if err != nil {
		t.Fatal(err)
	}
	// after has what is pending after each step, by key.
	after := []map[string]journal.Position{{}}
	note := func() {
		now := map[string]journal.Position{}
		if err := q.List(t.Context(), func(e journal.Entry) bool { now[e.Key] = e.Position; return true }); err != nil {
			t.Fatal(err)
		}
		after = append(after, now)
	}
	for i := range 60 {
		q.Append(t.Context(), time.Minute, []journal.Write{{Key: fmt.Sprint(i % 7), Value: make([]byte, i), ID: journal.NewID()}})
		note()
		if i%5 == 4 {
			entries, err := q.Take(t.Context(), 3)
			if err == nil {
				err = q.Done(t.Context(), entries)
			}
			if err != nil {
				t.Fatal(err)
			}
			note()
		}
	}
	main, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	rest, err := os.ReadFile(path + ".tail")
	if err != nil || len(rest) < 1000 {
		t.Fatalf("the tail has %d bytes, %v", len(rest), err)
	}
	least := 0
	for i := range 40 {
		cut := len(rest) * i / 39
		crashed := filepath.Join(dir, fmt.Sprint("crashed ", i))
		left := append([]byte(nil), rest[:cut]...)
		if i%2 == 1 && i < 39 { // or what is there is not all what was written
			left = append([]byte(nil), rest...)
			for k := range left[cut-1:] {
				left[cut-1+k] = byte(rand.Uint32())
			}
		}
		if err := os.WriteFile(crashed, main, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(crashed+".tail", left, 0o600); err != nil {
			t.Fatal(err)
		}
		for range 2 { // opening it again changes nothing
			j := open(t, crashed, nil)
			q, err := j.Open("q", (*journal.Options)(nil).WithDefaults())
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]journal.Position{}
			if err := q.List(t.Context(), func(e journal.Entry) bool { found[e.Key] = e.Position; return true }); err != nil {
				t.Fatal(err)
			}
			at := least
			for at < len(after) && fmt.Sprint(after[at]) != fmt.Sprint(found) {
				at++
			}
			if at == len(after) {
				t.Fatalf("cut at %d of %d: %v, as it was at no time", cut, len(rest), found)
			}
			least = at
			if err := j.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if least != len(after)-1 {
		t.Errorf("nothing was cut, and it is as it was after %d of %d steps", least, len(after)-1)
	}

	// A tail whose end is lost, though the file has all of it, brings nothing back.
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".tail", rest[:len(rest)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	j = open(t, path, o)
	defer j.Close()
	if q, err = j.Open("q", (*journal.Options)(nil).WithDefaults()); err != nil {
		t.Fatal(err)
	}
	if note(); fmt.Sprint(after[len(after)-1]) != fmt.Sprint(after[len(after)-2]) {
		t.Errorf("pending: %v, want %v", after[len(after)-1], after[len(after)-2])
	}
}
