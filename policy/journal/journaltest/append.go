package journaltest

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/strata-cache/strata/policy/journal"
)

var appendRules = []rule{
	{"positions", "give each write a position, in order, which is greater than all before it", positions},
	{"entry", "show with an entry all that its write has, and when it was accepted", entry},
	{"any bytes", "keep keys and values of any bytes and length", anyBytes},
	{"nothing", "do nothing for empty slices, and call no key pending that it does not know", nothing},
	{"merge", "keep the newest write of a key alone, and count those whose place it took", merge},
	{"deletion", "let a deletion take the place of a value, and a value that of a deletion", deletion},
	{"slices", "neither keep nor change the slices that it is given, and keep none that it returns", aliasing},
	{"one key", "keep of writes of one key from many writers that with the highest position", oneKey},
	{"many writers", "accept what many write at a time, each with a position of its own", manyWriters},
	{"cancelled", "accept nothing in a context that has ended, and fail every call with its error", cancelledBefore},
	{"outage", "answer with ErrUnavailable when it cannot be reached, and with nothing else", outage},
}

func positions(e *env) {
	q := e.queue()
	var last journal.Position
	for range 3 {
		for _, at := range e.append(q, numbered(50)...) {
			if at <= last {
				e.Fatalf("position %d after %d", at, last)
			}
			last = at
		}
		last = max(last, e.append(q, set("another", "x"))[0])
	}
}

func entry(e *env) {
	q := e.queue()
	before := time.Now()
	w := set("k", "v")
	at := e.append(q, w)[0]
	e.wantPending(q, w, at)
	t := e.takes(q, w, at)
	for where, t := range map[string]journal.Entry{"Take": t, "Pending": e.pending(q, "k"), "List": e.list(q)[0]} {
		e.same(where, t, w, at)
		if d := t.Accepted.Sub(before); d < -time.Minute || d > time.Minute { // by two clocks
			e.Errorf("%s: accepted %v, and it is %v", where, t.Accepted, before)
		}
		if t.Merged != 0 || (t.Ticket != "") != (where == "Take") {
			e.Errorf("%s: %s with ticket %q", where, show(t), t.Ticket)
		}
	}
	if t.Attempts != 1 {
		e.Errorf("taken once: %d attempts", t.Attempts)
	}
}

func anyBytes(e *env) {
	q := e.queue()
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	keys := []string{"", "\x00", "\x00\x00", "\xff\xfe", string(all), "{a}b{c}", "a:b", "a\nb", " ", "*", strings.Repeat("long", 10_000), "nul\x00", "nul"}
	var writes []journal.Write
	for i, key := range keys {
		w := set(key, fmt.Sprintf("value %d", i))
		w.Source = []byte(key)
		writes = append(writes, w)
	}
	large := set("1 MiB", "")
	large.Value, large.Source = bytes.Repeat(all, 4096), all
	bare := journal.Write{Key: "nothing but an id", ID: journal.NewID()}
	writes = append(writes, large, bare)
	at := e.append(q, writes...)
	for i, w := range writes {
		e.wantPending(q, w, at[i])
	}
	for i, t := range e.list(q) {
		e.same("List", t, writes[i], at[i])
	}
	taken := e.take(q, len(writes))
	for i, t := range taken {
		e.same("Take", t, writes[i], at[i])
	}
	e.must(q.Bury(e.patient(), taken, slices.Repeat([]string{"\x00 a cause \xff"}, len(taken))))
	e.done(q, taken...)
	letters := e.dead(q)
	if len(letters) != len(writes) {
		e.Fatalf("%d dead letters of %d", len(letters), len(writes))
	}
	for _, d := range letters {
		i := slices.IndexFunc(writes, func(w journal.Write) bool { return w.Key == d.Key })
		e.same("Dead", d.Entry, writes[i], at[i])
		if d.Cause != "\x00 a cause \xff" {
			e.Errorf("the cause %q", d.Cause)
		}
	}
	if n, err := q.Retry(e.patient(), keys...); n != len(keys) || err != nil {
		e.Fatalf("Retry of %d: %d, %v", len(keys), n, err)
	}
	for i := range keys {
		e.wantPending(q, writes[i], at[i])
	}
}

func nothing(e *env) {
	q := e.queue()
	if r := q.Append(e.patient(), within, nil); len(r) != 0 {
		e.Errorf("Append of nothing: %v", r)
	}
	if p, err := q.Pending(e.patient(), nil); len(p) != 0 || err != nil {
		e.Errorf("Pending of nothing: %v, %v", p, err)
	}
	e.must(q.Keep(e.patient(), nil))
	e.must(q.Done(e.patient(), nil))
	e.must(q.Return(e.patient(), nil))
	e.must(q.Bury(e.patient(), nil, nil))
	for _, of := range [][]string{nil, {"unknown"}} {
		if n, err := q.Retry(e.patient(), of...); n != 0 || err != nil {
			e.Errorf("Retry of nothing: %d, %v", n, err)
		}
		if n, err := q.Purge(e.patient(), of...); n != 0 || err != nil {
			e.Errorf("Purge of nothing: %d, %v", n, err)
		}
	}
	w := set("known", "v")
	at := e.append(q, w)[0]
	entries, err := q.Pending(e.patient(), []string{"unknown", "known", "", "known"})
	if err != nil || len(entries) != 4 || entries[0].Position != 0 || entries[2].Position != 0 {
		e.Fatalf("Pending: %v, %v", entries, err)
	}
	e.same("Pending", entries[1], w, at)
	e.same("Pending", entries[3], w, at)
	if s := e.stats(q); s.Depth != 1 || s.Taken != 0 || s.Dead != 0 {
		e.Errorf("%+v", s)
	}
}

func merge(e *env) {
	q := e.queue()
	first := numbered(3)
	e.append(q, first...)
	var newest journal.Write
	var at journal.Position
	for i := range 4 {
		newest = set(first[1].Key, fmt.Sprintf("newer %d", i))
		at = e.append(q, newest)[0]
		e.wantPending(q, newest, at)
	}
	if s := e.stats(q); s.Depth != 3 || s.Merged != 4 {
		e.Errorf("three keys, one written five times: %+v", s)
	}
	taken := e.take(q, 3)
	for _, t := range taken {
		want := 0
		if t.Key == newest.Key {
			want = 4
			e.same("Take", t, newest, at)
		}
		if t.Merged != want {
			e.Errorf("%s, want merged %d", show(t), want)
		}
	}
	e.done(q, taken...)
	again := set(newest.Key, "again")
	if t := e.takes(q, again, e.append(q, again)[0]); t.Merged != 0 || t.Attempts != 1 {
		e.Errorf("after Done: %s", show(t))
	}
}

func deletion(e *env) {
	q := e.queue()
	e.append(q, set("gone", "v"), del("back"))
	gone, back := del("gone"), set("back", "v")
	at := e.append(q, gone, back)
	e.wantPending(q, gone, at[0])
	e.wantPending(q, back, at[1])
	e.takes(q, gone, at[0])
	e.takes(q, back, at[1])
}

func aliasing(e *env) {
	q := e.queue()
	writes := []journal.Write{set("k", "value")}
	want := set("k", "value")
	want.ID = writes[0].ID
	at := e.append(q, writes...)[0]
	spoil := func(w *journal.Write) {
		for _, b := range [][]byte{w.Source, w.Value} {
			for i := range b {
				b[i] = '!'
			}
		}
	}
	if !sameWrite(writes[0], want) {
		e.Fatal("Append changed what it was given")
	}
	spoil(&writes[0])
	t := e.pending(q, "k")
	e.same("Pending", t, want, at)
	spoil(&t.Write)
	t = e.list(q)[0]
	e.same("List", t, want, at)
	spoil(&t.Write)
	t = e.takes(q, want, at)
	spoil(&t.Write)
	e.wantPending(q, want, at)
	e.must(q.Return(e.patient(), []journal.Entry{t}))
	t = e.takes(q, want, at)
	e.bury(q, t, "cause")
	e.done(q, t)
	d := e.dead(q)[0]
	e.same("Dead", d.Entry, want, at)
	spoil(&d.Write)
	e.same("Dead", e.dead(q)[0].Entry, want, at)
}

func oneKey(e *env) {
	q := e.queue()
	const writers, each = 8, 10
	var mu sync.Mutex
	accepted := make(map[journal.Position]journal.Write)
	var work sync.WaitGroup
	for i := range writers {
		work.Go(func() {
			var last journal.Position
			for k := range each {
				w := set("one key", fmt.Sprintf("%d of %d", k, i))
				r := q.Append(e.Context(), within, []journal.Write{w})[0]
				if r.Err != nil || r.Position <= last {
					e.Errorf("position %d after %d, %v", r.Position, last, r.Err)
					return
				}
				last = r.Position
				mu.Lock()
				accepted[r.Position] = w
				mu.Unlock()
			}
		})
	}
	work.Wait()
	if e.Failed() {
		return
	}
	if len(accepted) != writers*each {
		e.Fatalf("%d positions for %d writes", len(accepted), writers*each)
	}
	var highest journal.Position
	for at := range accepted {
		highest = max(highest, at)
	}
	e.wantPending(q, accepted[highest], highest)
	if t := e.takes(q, accepted[highest], highest); t.Merged != writers*each-1 {
		e.Errorf("%s, want merged %d", show(t), writers*each-1)
	}
}

func manyWriters(e *env) {
	q := e.queue()
	const writers, each = 16, 10
	var mu sync.Mutex
	at := make(map[journal.Position]string)
	var work sync.WaitGroup
	for i := range writers {
		work.Go(func() {
			for k := range each {
				w := set(fmt.Sprintf("%d of %d", k, i), "v")
				r := q.Append(e.Context(), within, []journal.Write{w})[0]
				if r.Err != nil {
					e.Error(r.Err)
					return
				}
				mu.Lock()
				at[r.Position] = w.Key
				mu.Unlock()
			}
		})
	}
	work.Wait()
	if e.Failed() {
		return
	}
	if s := e.stats(q); len(at) != writers*each || s.Depth != writers*each {
		e.Fatalf("%d positions for %d writes, %+v", len(at), writers*each, s)
	}
	for _, t := range e.take(q, writers*each) {
		if at[t.Position] != t.Key {
			e.Errorf("%s, and its writer was told that %q is there", show(t), at[t.Position])
		}
	}
}

func cancelledBefore(e *env) {
	q := e.queue()
	e.append(q, set("there", "v"))
	t := e.take(q, 1)
	ctx, cancel := context.WithCancel(e.Context())
	cancel()
	e.wantRefused(q.Append(ctx, within, numbered(2)), 2, context.Canceled)
	for call, err := range calls(ctx, q, t) {
		if err == nil || !isContext(err) {
			e.Errorf("%s: %v, want context.Canceled", call, err)
		}
	}
	e.wantNone(q, numbered(1)[0].Key)
	if s := e.stats(q); s.Depth != 1 || s.Dead != 0 {
		e.Errorf("%+v", s)
	}
	e.done(q, t...)
}

func outage(e *env) {
	if e.h.Stop == nil {
		e.Skip("this journal has no server that could be stopped")
	}
	q := e.queue()
	e.append(q, set("there", "v"))
	t := e.take(q, 1)
	e.h.Stop(e.T)
	for _, r := range q.Append(e.patient(), 2*time.Second, numbered(1)) {
		if !isUnavailable(r.Err) {
			e.Errorf("Append: %v, want ErrUnavailable", r.Err)
		}
	}
	for call, err := range calls(e.patient(), q, t) {
		if !isUnavailable(err) && (call != "Take" || !isContext(err)) { // a Take may go on trying
			e.Errorf("%s: %v, want ErrUnavailable", call, err)
		}
	}
}
