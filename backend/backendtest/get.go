package backendtest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
)

var getRules = []rule{
	{
		name: "nothing",
		text: "what was never written is a nil record and no error",
		test: func(t *testing.T, e *env) { want(t, e.store, e.key("a"), nil) },
	},
	{
		name: "no keys",
		text: "Get of no keys and Write of no ops answer with nothing and do not fail",
		test: func(t *testing.T, e *env) {
			if got := e.store.Get(contextOf(t)); len(got) != 0 {
				t.Errorf("Get of no keys: %d results", len(got))
			}
			if got := e.store.Write(contextOf(t)); len(got) != 0 {
				t.Errorf("Write of no ops: %d effects", len(got))
			}
		},
	},
	{
		name: "order",
		text: "Get returns one result for each key, in the order of the keys, also when some are missing or asked for twice",
		test: func(t *testing.T, e *env) {
			a, _ := value("a")
			b, _ := value("b")
			add(t, e.store, e.key("a"), a)
			add(t, e.store, e.key("b"), b)
			keys := []string{e.key("none"), e.key("b"), e.key("a"), e.key("b"), e.key("none"), e.key("a"), e.key("other")}
			got := e.store.Get(contextOf(t), keys...)
			wantRecords(t, got, [][]byte{nil, b, a, b, nil, a, nil})
		},
	},
	{
		name: "many",
		text: "a bulk read and a bulk write of 1,000 keys keep their order",
		test: func(t *testing.T, e *env) {
			const n = 1000
			ops := make([]driver.Op, n)
			records := make([][]byte, n)
			keys := make([]string, n)
			for i := range n {
				keys[i] = e.key(fmt.Sprintf("{%d}/%d", i%7, i))
				if i%10 == 9 {
					ops[i] = driver.Op{Key: keys[i], Step: record.Step{Verb: record.Remove, Expect: record.NewToken()}}
					continue
				}
				records[i], _ = value(fmt.Sprint("body ", i))
				ops[i] = driver.Op{Key: keys[i], Step: record.Step{Verb: record.Add, Record: records[i], TTL: long}}
			}
			for i, f := range e.store.Write(contextOf(t), ops...) {
				if wanted := map[bool]driver.Outcome{true: driver.Done, false: driver.Refused}[records[i] != nil]; f.Outcome != wanted {
					t.Fatalf("op %d, %v: %s, want %v", i, ops[i].Verb, show(f), wanted)
				}
			}
			wantRecords(t, e.store.Get(contextOf(t), keys...), records)
		},
	},
	{
		name: "bodies",
		text: "a body comes back byte for byte: empty, binary, line ends, and what looks like the server's own protocol",
		test: func(t *testing.T, e *env) {
			var all strings.Builder
			for c := range 256 {
				all.WriteByte(byte(c))
			}
			bodies := []string{"", "\x00", "\x00\x00\x00\x00", "\r\n", "a\r\nEND\r\nVA gone\r\n$-1\r\n", "\xff\xfe\xff", "0", "nil", all.String()}
			for i, body := range bodies {
				b, _ := value(body)
				key := e.key(fmt.Sprint(i))
				add(t, e.store, key, b)
				want(t, e.store, key, b)
			}
		},
	},
	{
		name: "large",
		text: "a body of 1 MiB comes back byte for byte, unless the backend says that it stores less",
		test: func(t *testing.T, e *env) {
			size := 1 << 20
			if m := e.Features.MaxRecord; m > 0 && m < size+record.HeaderLen {
				size = m - record.HeaderLen
			}
			body := make([]byte, size)
			for i := range body {
				body[i] = byte(i*7 + i>>9)
			}
			b := made(record.Value, record.NewToken(), time.Now().Add(long), body)
			add(t, e.store, e.key("a"), b)
			want(t, e.store, e.key("a"), b)
			next := made(record.Value, record.NewToken(), time.Now().Add(long), body[1:])
			do(t, e.store, e.key("a"), swap(record.TokenOf(b), next))
			want(t, e.store, e.key("a"), next)
		},
	},
	{
		name: "ownership",
		text: "bytes that the backend returned belong to the caller: changing them changes nothing that is stored",
		test: func(t *testing.T, e *env) {
			b, _ := value("body")
			stored := bytes.Clone(b)
			add(t, e.store, e.key("a"), b)
			clear(get(t, e.store, e.key("a")))
			clear(refused(t, e.store, e.key("a"), record.Step{Verb: record.Add, Record: stored, TTL: long}))
			want(t, e.store, e.key("a"), stored)
		},
	},
	{
		name: "two stores",
		text: "what one Store wrote, another Store on the same server reads at once",
		test: func(t *testing.T, e *env) {
			b, _ := value("body")
			add(t, e.store, e.key("a"), b)
			want(t, open(t, e.Harness), e.key("a"), b)
		},
	},
}

func wantRecords(t *testing.T, got []driver.Result, wanted [][]byte) {
	t.Helper()
	if len(got) != len(wanted) {
		t.Fatalf("Get of %d keys: %d results", len(wanted), len(got))
	}
	for i := range got {
		if got[i].Err != nil {
			t.Fatalf("result %d: %v", i, got[i].Err)
		}
		if !bytes.Equal(got[i].Record, wanted[i]) || (got[i].Record == nil) != (wanted[i] == nil) {
			t.Errorf("result %d: %s, want %s", i, describe(got[i].Record), describe(wanted[i]))
		}
	}
}
