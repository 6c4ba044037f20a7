package history_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/integration/coherence/history"
)

const (
	ms    = int64(time.Millisecond)
	bound = time.Second
)

var (
	one   = history.Process{Node: 0}
	two   = history.Process{Node: 1}
	again = history.Process{Node: 0, Life: 1} // of node one
)

// a story is a history of key 0, with times in milliseconds.
type story struct{ history.History }

func (s *story) commit(by history.Process, version, at int64) {
	s.Commits = append(s.Commits, history.Commit{Process: by, Version: version, At: at * ms})
}

func (s *story) write(by history.Process, version, began, ended int64) {
	s.Writes = append(s.Writes, history.Write{Process: by, Verb: "Invalidate", Version: version, Began: began * ms, Ended: ended * ms})
}

func (s *story) failed(by history.Process, version, began, ended int64) {
	s.write(by, version, began, ended)
	s.Writes[len(s.Writes)-1].Error = "no answer"
}

func (s *story) read(by history.Process, version int64, at ...int64) *history.Run {
	s.Runs = append(s.Runs, history.Run{
		Process: by, Version: version, Count: len(at), First: at[0] * ms, Last: at[len(at)-1] * ms, Ended: at[0]*ms + 1, Tiers: history.Tiers{Local: len(at)},
	})
	return &s.Runs[len(s.Runs)-1]
}

func judge(t *testing.T, s *story) *history.Verdict {
	t.Helper()
	s.Keys = 1
	v, err := history.Judge(&s.History, bound)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestEachKindOfViolationIsSeenAndNothingElse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tell func(s *story)
		want map[history.Kind]int
		late int
		back int
	}{
		"what was read before the write":     {tell: func(s *story) { s.read(two, 1, 50, 99) }},
		"what was read while it was written": {tell: func(s *story) { s.read(one, 1, 105); s.read(two, 2, 105) }},
		"older, within the bound":            {tell: func(s *story) { s.read(two, 1, 1110) }, late: 1},
		"older than the bound":               {tell: func(s *story) { s.read(two, 1, 1111) }, want: map[history.Kind]int{history.Stale: 1}},
		"the last of a run is what counts":   {tell: func(s *story) { s.read(two, 1, 50, 200, 1200) }, want: map[history.Kind]int{history.Stale: 1}},
		"older than an own write":            {tell: func(s *story) { s.read(one, 1, 111) }, want: map[history.Kind]int{history.OwnWrite: 1}, late: 1},
		"older than an own write and the bound": {
			tell: func(s *story) { s.read(one, 1, 2000) }, want: map[history.Kind]int{history.OwnWrite: 1, history.Stale: 1},
		},
		"older than a fresh read may be": {
			tell: func(s *story) { s.read(two, 1, 50, 111).Fresh = true }, want: map[history.Kind]int{history.NotFresh: 1}, late: 1,
		},
		"a fresh read from before the acknowledgement": {tell: func(s *story) { s.read(two, 1, 109).Fresh = true }},
		"a name is the version that was committed by it": {
			tell: func(s *story) {
				s.commit(two, 3, 300)
				s.Commits[1].Name = -7
				s.write(two, -7, 295, 310)
				s.read(one, -7, 320)
				s.read(one, 2, 1311)
			},
			want: map[history.Kind]int{history.Stale: 1}, back: 1,
		},
		"a name by which nothing was committed": {tell: func(s *story) { s.read(one, -8, 200) }, want: map[history.Kind]int{history.Impossible: 1}},
		"what one call covers beside its first key": {
			tell: func(s *story) {
				s.commit(two, 3, 300)
				s.write(one, 0, 310, 320)
				s.Writes[1].Part = true
				s.read(two, 2, 1321)
			},
			want: map[history.Kind]int{history.Stale: 1},
		},
		"a process that was started anew wrote nothing yet": {tell: func(s *story) { s.read(again, 1, 111) }, late: 1},
		"a newer one": {tell: func(s *story) { s.commit(two, 3, 120); s.read(one, 3, 130) }},
		"a write covers what was committed before it was called": {
			tell: func(s *story) { s.commit(two, 3, 300); s.write(one, 0, 310, 320); s.read(two, 2, 1321) }, want: map[history.Kind]int{history.Stale: 1},
		},
		"and not what was committed while": {
			tell: func(s *story) { s.commit(two, 3, 311); s.write(one, 0, 310, 320); s.read(two, 2, 1500) },
		},
		"a write that failed covers nothing": {tell: func(s *story) { s.commit(one, 3, 300); s.failed(one, 3, 310, 320); s.read(two, 2, 5000) }},
		"until it was repeated": {
			tell: func(s *story) {
				s.commit(one, 3, 300)
				s.failed(one, 3, 310, 320)
				s.write(one, 3, 400, 410)
				s.read(two, 2, 1411)
			},
			want: map[history.Kind]int{history.Stale: 1},
		},
		"never committed":                       {tell: func(s *story) { s.read(one, 3, 200) }, want: map[history.Kind]int{history.Impossible: 1}},
		"before it was committed":               {tell: func(s *story) { s.read(one, 2, 80) }, want: map[history.Kind]int{history.Impossible: 1}},
		"no version at all":                     {tell: func(s *story) { s.read(one, 0, 80) }, want: map[history.Kind]int{history.Impossible: 1}},
		"another key's":                         {tell: func(s *story) { s.read(two, 2, 200).Wrong = true }, want: map[history.Kind]int{history.Impossible: 1}},
		"backwards":                             {tell: func(s *story) { s.read(two, 2, 105); s.read(two, 1, 106) }, back: 1},
		"backwards on two nodes is not":         {tell: func(s *story) { s.read(one, 2, 105); s.read(two, 1, 106) }},
		"two reads at a time are not backwards": {tell: func(s *story) { s.read(two, 2, 105).Ended = 107 * ms; s.read(two, 1, 106) }},
		"the newest at the end":                 {tell: func(s *story) { s.read(two, 2, 9000).Final = true }},
		"stale at the end":                      {tell: func(s *story) { s.read(two, 1, 9000).Final = true }, want: map[history.Kind]int{history.StaleAtEnd: 1}},
		"unrepaired": {
			tell: func(s *story) { s.commit(one, 3, 300); s.failed(one, 3, 310, 320); s.read(two, 2, 9000).Final = true },
			want: map[history.Kind]int{history.Unrepaired: 1},
		},
		"unrepaired, and the process died within a fence": {
			tell: func(s *story) {
				s.commit(one, 3, 300)
				s.failed(one, 3, 310, 320)
				s.read(two, 2, 9000).Final = true
				s.Died, s.Promised = append(s.Died, one), map[int]bool{0: true}
			},
			want: map[history.Kind]int{history.Unrepaired: 1},
		},
		"unrepaired, and the process died": {
			tell: func(s *story) {
				s.commit(one, 3, 300)
				s.failed(one, 3, 310, 320)
				s.read(two, 2, 9000).Final = true
				s.Died = append(s.Died, one)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := new(story)
			s.commit(one, 2, 90)
			s.write(one, 2, 100, 110)
			c.tell(s)
			v := judge(t, s)
			if c.want == nil {
				c.want = map[history.Kind]int{}
			}
			if !maps.Equal(v.Violated, c.want) || v.Late != c.late || v.Backwards != c.back {
				t.Errorf("violated %v, late %d, backwards %d; want %v, %d, %d", v.Violated, v.Late, v.Backwards, c.want, c.late, c.back)
			}
			if v.OK() != (len(c.want) == 0) {
				t.Errorf("OK is %t", v.OK())
			}
		})
	}
}

func TestWorstStalenessIsFromTheFirstWriteThatCoversANewerVersion(t *testing.T) {
	t.Parallel()
	s := new(story)
	s.commit(one, 2, 90)
	s.write(one, 2, 100, 110)
	s.commit(one, 3, 400)
	s.write(one, 3, 410, 420)
	s.read(one, 3, 500)
	s.read(two, 1, 510)
	s.Faults = []history.Fault{{Name: "cut", From: 450 * ms, To: 460 * ms}, {Name: "kill", From: 600 * ms, To: 700 * ms}}
	v := judge(t, s)
	if want := 400 * time.Millisecond; v.Worst != want || v.WorstBy[1] != want || v.WorstBy[0] != 0 {
		t.Errorf("worst %v, by node %v", v.Worst, v.WorstBy)
	}
	if v.Faults[0].Worst != v.Worst || v.Faults[1].Worst != 0 {
		t.Errorf("by fault: %+v", v.Faults)
	}
}

func TestACallAboutSeveralKeysIsOneWrite(t *testing.T) {
	t.Parallel()
	s := new(story)
	s.commit(one, 2, 90)
	s.write(one, 2, 100, 110)
	s.write(one, 0, 100, 110)
	s.failed(two, 0, 200, 210)
	s.failed(two, 0, 200, 210)
	s.Writes[1].Part, s.Writes[3].Part = true, true
	s.read(one, 2, 300, 310).Fresh = true
	s.read(one, 2, 320)
	if v := judge(t, s); v.Writes != 1 || v.FailedWrites != 1 || v.Verbs["Invalidate"] != 1 || v.FreshReads != 2 || v.WriteShare != 0.4 {
		t.Errorf("%d writes, %d failed, %v, %d fresh reads, %.2f of all are writes", v.Writes, v.FailedWrites, v.Verbs, v.FreshReads, v.WriteShare)
	}
}

func TestAViolationTellsAllThatOneNeeds(t *testing.T) {
	t.Parallel()
	s := new(story)
	s.commit(one, 2, 90)
	s.write(one, 2, 100, 110)
	s.read(two, 1, 2110)
	s.Faults = []history.Fault{{Name: "cut-bus", Target: "node 2", From: 50 * ms, To: 60 * ms}}
	v := judge(t, s)
	said := v.First[0].String()
	for _, want := range []string{"older than the bound", "key 0", "node 2", "version 1", "2110.0ms", "by node 1", "110.0ms", "2s too old", "cut-bus of node 2", "commits version 2"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not in:\n%s", want, said)
		}
	}
}

func TestCommitsThatAreInNoOrderAreNoHistory(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]history.History{
		"a version is missing": {Keys: 1, Commits: []history.Commit{{Version: 3, At: 1}}},
		"backwards":            {Keys: 1, Commits: []history.Commit{{Version: 2, At: 2}, {Version: 3, At: 1}}},
		"no such key":          {Keys: 1, Commits: []history.Commit{{Key: 1, Version: 2}}},
	} {
		if _, err := history.Judge(&h, bound); err == nil {
			t.Error(name + ": no error")
		}
	}
}
