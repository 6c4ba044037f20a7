package journaltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/strata-cache/strata/policy/journal"
)

var modelRules = []rule{
	{"random history", "do in any order of calls what a few maps would", randomHistory},
}

// A model is a queue in its simplest form.
type model struct {
	*rapid.T
	ctx    context.Context
	open   func(node int) journal.Queue // closes what is open on the node, and opens it again
	queues []journal.Queue

	keys    map[string]*modelKey
	last    journal.Position
	listing int             // how many listings there were
	stale   []journal.Entry // what was taken, and is not the taker's any more
	ghosts  map[string]bool // keys whose burier has gone: they may be given once more with nothing
}

type modelKey struct {
	pending *journal.Entry
	dead    *journal.DeadLetter
	merged  bool          // since it was listed
	holder  int           // node + 1; 0: nobody has it
	held    journal.Entry // what that node was given
	written bool          // held is still what Done takes away
	fresh   int           // which listing it was, if it was not given back since; else 0
}

const modelBound = 4

var modelNames = []string{"a", "b", "", "\x00", "{c}", "d"}

func randomHistory(e *env) {
	nodes := 1
	if e.h.Shared {
		nodes = 2
	}
	journals := make([]journal.Journal, nodes)
	for i := range journals {
		journals[i] = e.journal()
	}
	run := 0
	// A bubble of testing/synctest has no Deadline, for which rapid would ask a *testing.T.
	rapid.Check(struct{ testing.TB }{e.T}, func(t *rapid.T) {
		run++
		m := &model{T: t, ctx: e.Context(), keys: make(map[string]*modelKey), ghosts: make(map[string]bool), queues: make([]journal.Queue, nodes)}
		for _, key := range modelNames {
			m.keys[key] = &modelKey{}
		}
		m.open = func(node int) journal.Queue {
			if q := m.queues[node]; q != nil {
				m.no(q.Close())
				if nodes == 1 && !e.h.Volatile {
					m.no(journals[0].Close())
					journals[0] = e.journal()
					for _, k := range m.keys {
						k.fresh = 0 // it may have forgotten since when what waits
					}
				}
			}
			q, err := journals[node].Open(fmt.Sprintf("model %d", run), e.options(bound(modelBound)))
			m.no(err)
			m.queues[node] = q
			return q
		}
		for node := range nodes {
			m.open(node)
		}
		defer func() {
			for _, q := range m.queues {
				q.Close()
			}
		}()
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			m.step()
			m.compare()
		}
	})
}

func (m *model) no(err error) {
	m.Helper()
	if err != nil {
		m.Fatal(err)
	}
}

func (m *model) step() {
	node := rapid.IntRange(0, len(m.queues)-1).Draw(m.T, "node")
	q := m.queues[node]
	switch call := rapid.SampledFrom([]string{
		"append", "append", "append", "take", "take", "done", "done", "keep", "return", "bury", "retry", "purge", "late", "open",
	}).Draw(m.T, "call"); call {
	case "append":
		m.append(q)
	case "take":
		m.take(node)
	case "done", "keep", "return", "bury":
		if held := m.draw(node); len(held) > 0 {
			m.finish(q, call, held)
		}
	case "late":
		if len(m.stale) > 0 {
			m.call(q, rapid.SampledFrom([]string{"done", "keep", "return", "bury"}).Draw(m.T, "late"), []journal.Entry{rapid.SampledFrom(m.stale).Draw(m.T, "entry")})
		}
	case "retry", "purge":
		m.letters(q, call)
	case "open":
		for _, key := range slices.Sorted(maps.Keys(m.keys)) {
			if k := m.keys[key]; k.holder == node+1 {
				m.leave(key, k)
			}
		}
		m.open(node)
	}
}

func (m *model) depth() (n int) {
	for _, k := range m.keys {
		if k.pending != nil {
			n++
		}
	}
	return n
}

// list gives a key a place behind all others.
func (m *model) list(k *modelKey) {
	m.listing++
	k.fresh, k.merged = m.listing, false
}

// leave gives a key back that somebody has.
func (m *model) leave(key string, k *modelKey) {
	m.stale = append(m.stale, k.held)
	k.holder, k.fresh = 0, 0
	if !k.written {
		m.ghosts[key] = true
	}
}

func (m *model) append(q journal.Queue) {
	keys := rapid.SliceOfNDistinct(rapid.SampledFrom(modelNames), 1, 3, rapid.ID).Draw(m.T, "keys")
	var writes []journal.Write
	for _, key := range keys {
		w := journal.Write{Key: key, ID: journal.NewID(), Source: []byte(key), Delete: rapid.Bool().Draw(m.T, "delete")}
		if !w.Delete {
			w.Value = rapid.SliceOfN(rapid.Byte(), 0, 4).Draw(m.T, "value")
		}
		writes = append(writes, w)
	}
	receipts := q.Append(m.ctx, within, writes)
	if len(receipts) != len(writes) {
		m.Fatalf("%d receipts for %d writes", len(receipts), len(writes))
	}
	for i, w := range writes {
		k, r := m.keys[w.Key], receipts[i]
		if k.pending == nil && m.depth() >= modelBound {
			if !errors.Is(r.Err, journal.ErrFull) || r.Position != 0 {
				m.Fatalf("%q: %+v, want ErrFull", w.Key, r)
			}
			continue
		}
		if r.Err != nil || r.Position <= m.last {
			m.Fatalf("%q: %+v after %d", w.Key, r, m.last)
		}
		m.last = r.Position
		if k.merged = k.pending != nil; k.pending == nil && k.holder == 0 {
			m.list(k)
		}
		k.pending = &journal.Entry{Write: w, Position: r.Position}
	}
}

func (m *model) take(node int) {
	var fresh []int
	waiting := 0
	for _, k := range m.keys {
		if k.pending != nil && k.holder == 0 {
			waiting++
			if k.fresh > 0 {
				fresh = append(fresh, k.fresh)
			}
		}
	}
	if waiting == 0 {
		return
	}
	slices.Sort(fresh)
	n := rapid.IntRange(1, 4).Draw(m.T, "n")
	entries, err := m.queues[node].Take(m.ctx, n)
	m.no(err)
	if len(entries) == 0 || len(entries) > n {
		m.Fatalf("Take of %d: %d entries", n, len(entries))
	}
	for _, t := range entries {
		k := m.keys[t.Key]
		if t.Position == 0 && m.ghosts[t.Key] {
			delete(m.ghosts, t.Key)
			m.no(m.queues[node].Done(m.ctx, []journal.Entry{t}))
			continue
		}
		if k == nil || k.pending == nil || k.holder != 0 || t.Position != k.pending.Position || !sameWrite(t.Write, k.pending.Write) {
			m.Fatalf("Take: %s, which nobody should get", show(t))
		}
		if k.fresh > 0 {
			if k.fresh != fresh[0] {
				m.Fatalf("Take: %s, and others have waited longer", show(t))
			}
			fresh = fresh[1:]
		}
		if t.Attempts < 1 || t.Merged == 0 && k.merged {
			m.Fatalf("Take: %s, which has merged another: %t", show(t), k.merged)
		}
		delete(m.ghosts, t.Key)
		k.holder, k.held, k.written = node+1, t, true
	}
}

// draw chooses of what a node has.
func (m *model) draw(node int) (held []journal.Entry) {
	for _, key := range slices.Sorted(maps.Keys(m.keys)) {
		if k := m.keys[key]; k.holder == node+1 && rapid.Bool().Draw(m.T, fmt.Sprintf("%q", key)) {
			held = append(held, k.held)
		}
	}
	return held
}

func (m *model) call(q journal.Queue, call string, entries []journal.Entry) {
	switch call {
	case "done":
		m.no(q.Done(m.ctx, entries))
	case "keep":
		m.no(q.Keep(m.ctx, entries))
	case "return":
		m.no(q.Return(m.ctx, entries))
	case "bury":
		m.no(q.Bury(m.ctx, entries, slices.Repeat([]string{"cause"}, len(entries))))
	}
}

func (m *model) finish(q journal.Queue, call string, held []journal.Entry) {
	m.call(q, call, held)
	for _, t := range held {
		k := m.keys[t.Key]
		newest := k.written && k.pending != nil && k.pending.Position == t.Position
		switch call {
		case "done":
			if k.written && k.dead != nil && k.dead.Position < t.Position {
				k.dead = nil
			}
			if newest {
				k.pending = nil
			}
			k.written = true // whoever says that it is done leaves nothing
			m.leave(t.Key, k)
			if k.pending != nil {
				m.list(k)
			}
		case "return":
			m.leave(t.Key, k)
		case "bury":
			if newest {
				k.dead = &journal.DeadLetter{Entry: *k.pending}
				k.pending, k.written = nil, false
			}
		}
	}
}

func (m *model) letters(q journal.Queue, call string) {
	keys := rapid.SliceOfNDistinct(rapid.SampledFrom(modelNames), 0, 2, rapid.ID).Draw(m.T, "keys")
	all := len(keys) == 0
	var letters []*modelKey
	for _, k := range m.keys {
		if k.dead != nil && (all || slices.Contains(keys, k.dead.Key)) {
			letters = append(letters, k)
		}
	}
	slices.SortFunc(letters, func(a, b *modelKey) int { return int(int64(a.dead.Position) - int64(b.dead.Position)) })
	want, least := len(letters), 0
	for _, k := range letters {
		if call == "retry" && k.pending == nil {
			least++
			k.pending = &k.dead.Entry
			if k.holder == 0 {
				m.list(k)
				k.fresh = 0 // in which order those of one call are listed is tested elsewhere
			}
		}
		k.dead = nil
	}
	do := q.Retry
	if call == "purge" {
		do, least = q.Purge, want
	}
	if n, err := do(m.ctx, keys...); err != nil || n < least || n > want {
		m.Fatalf("%s of %q: %d, %v; want %d", call, keys, n, err, want)
	}
}

// compare compares all that can be seen.
func (m *model) compare() {
	q := m.queues[rapid.IntRange(0, len(m.queues)-1).Draw(m.T, "seen by")]
	found, err := q.Pending(m.ctx, modelNames)
	m.no(err)
	want := make(map[string]journal.Entry)
	least, taken, dead := 0, 0, 0
	for i, key := range modelNames {
		k := m.keys[key]
		if k.dead != nil {
			dead++
		}
		if k.pending == nil {
			if found[i].Position != 0 {
				m.Fatalf("Pending: %s, want none", show(found[i]))
			}
			continue
		}
		if want[key] = *k.pending; found[i].Position != k.pending.Position || !sameWrite(found[i].Write, k.pending.Write) {
			m.Fatalf("Pending: %s, want %s", show(found[i]), show(*k.pending))
		}
		if k.holder != 0 {
			taken++
			if k.written {
				least++
			}
		}
	}
	s, err := q.Stats(m.ctx)
	m.no(err)
	if s.Depth != len(want) || s.Taken < least || s.Taken > taken || s.Dead != dead || s.Oldest.IsZero() != (len(want) == 0) {
		m.Fatalf("%+v; want depth %d, taken %d, dead %d", s, len(want), taken, dead)
	}
	m.no(q.List(m.ctx, func(t journal.Entry) bool {
		if w, ok := want[t.Key]; !ok || t.Position != w.Position || !sameWrite(t.Write, w.Write) {
			m.Fatalf("List: %s", show(t))
		}
		delete(want, t.Key)
		return true
	}))
	if len(want) > 0 {
		m.Fatalf("List left out %d", len(want))
	}
	m.no(q.Dead(m.ctx, func(d journal.DeadLetter) bool {
		k := m.keys[d.Key]
		if k == nil || k.dead == nil || d.Position != k.dead.Position || !bytes.Equal(d.Value, k.dead.Value) || !strings.HasPrefix(d.Cause, "cause") {
			m.Fatalf("Dead: %s", show(d.Entry))
		}
		dead--
		return true
	}))
	if dead != 0 {
		m.Fatalf("Dead left out %d", dead)
	}
}
