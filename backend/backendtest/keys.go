package backendtest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/strata-cache/strata/backend"
	"github.com/strata-cache/strata/backend/record"
)

// oddKeys are all different, and come close to each other where escaping could make them one.
func oddKeys() []string {
	keys := []string{
		"", " ", "  ", "\x00", "\n", "\r\n", "\t", "\x7f", "a b", "a+b", "a%20b", "a%2520b", "%", "%%", "%25", "~", "~a", "%7E",
		"ä", "a\u0308", "日本語", "🙂", "\xff", "\xc3", "\xc3\x28", "{", "}", "{}", "{a}", "}{", "{a", "a}", "{a}{b}", "{{a}}", "{a}b{c}d",
		"*", "?", "[a]", "\\", "/", "//", "a/b", "a%2Fb", ":", "'", "\"", "`", "get", "END", "A", "a", "0", "00", "-0", "null", "%_",
		strings.Repeat("k", 199), strings.Repeat("k", 200), strings.Repeat("k", 201), strings.Repeat(" ", 66), strings.Repeat(" ", 67),
		strings.Repeat("k", 10<<10), strings.Repeat("\x00", 10<<10),
		strings.Repeat("l", 10<<10) + "a", strings.Repeat("l", 10<<10) + "b",
		"a" + strings.Repeat("l", 10<<10), "b" + strings.Repeat("l", 10<<10),
		"{" + strings.Repeat("m", 10<<10) + "}a", "{" + strings.Repeat("m", 10<<10) + "}b", "{" + strings.Repeat("m", 10<<10) + "a}",
		"{s}" + strings.Repeat("n", 10<<10) + "a", "{s}" + strings.Repeat("n", 10<<10) + "b",
	}
	for n := 40; n < 200; n += 20 { // for servers and escapes that cut keys off
		keys = append(keys, strings.Repeat("c", n)+"a", strings.Repeat("c", n)+"b")
	}
	for _, c := range []byte("\x01\x0b\x1f\x20\x21\x7e\x80\xfe") {
		keys = append(keys, "byte "+string([]byte{c}))
	}
	return keys
}

var keyRules = []rule{
	{
		name: "any bytes",
		text: "a key is any bytes of any length, and no two different keys are one",
		test: func(t *testing.T, e *env) { testKeys(t, e.store, e.own) },
	},
	{
		name: "any bytes in a prefix",
		text: "a key is any bytes of any length, the empty one too, in the key space of a prefix",
		test: func(t *testing.T, e *env) { testKeys(t, e.store.Prefix(e.own), "") },
	},
	{
		name: "case",
		text: "keys that differ in case only are different keys",
		test: func(t *testing.T, e *env) {
			b, _ := value("b")
			add(t, e.store, e.key("Key"), b)
			want(t, e.store, e.key("key"), nil)
			want(t, e.store, e.key("KEY"), nil)
			want(t, e.store, e.key("Key"), b)
		},
	},
	{
		name: "prefix spaces",
		text: "no key of one prefix reaches another prefix, nor that around it, whatever the bytes of both",
		test: func(t *testing.T, e *env) {
			own := e.store.Prefix(e.own)
			at := map[string]*backend.Store{}
			for _, name := range []string{"", "a", "a/", "/a", "a/b", "a//", "b", "{", "}", "{a}", "%", "%2F", "a%2Fb", "~", " ", "ä", "\x00", strings.Repeat("p", 300)} {
				at[fmt.Sprintf("%q", name)] = own.Prefix(name)
			}
			at["around"] = own
			at["nested a, c"] = own.Prefix("a").Prefix("c")
			at["nested empty, empty"] = own.Prefix("").Prefix("")
			records := map[string][]byte{}
			// Keys that would be another's if names and keys were only put together.
			for _, k := range []string{"", "b", "b/k", "/b/k", "k", "a/k", "/", "%2Fk", "}k", "c/k", "~a/k", "a/~c/k", "~c/k"} {
				for name, s := range at {
					b, _ := value(name + " key " + k)
					add(t, s, k, b)
					records[name+"\n"+k] = b
				}
			}
			for nameAndKey, b := range records {
				name, k, _ := strings.Cut(nameAndKey, "\n")
				want(t, at[name], k, b)
			}
		},
	},
	{
		name: "prefix view",
		text: "a prefix's view is closed by its Store alone: its own Close does nothing",
		test: func(t *testing.T, e *env) {
			view := e.store.Prefix(e.own)
			if err := view.Close(); err != nil {
				t.Fatalf("Close of a view: %v", err)
			}
			b, _ := value("b")
			add(t, view, "k", b)
			want(t, e.store.Prefix(e.own), "k", b)
		},
	},
}

func testKeys(t *testing.T, s *backend.Store, own string) {
	keys := oddKeys()
	records := make([][]byte, len(keys))
	for i := range keys {
		keys[i] = own + keys[i]
		var token record.Token
		records[i], token = value(fmt.Sprint("body ", i))
		do(t, s, keys[i], record.Step{Verb: record.Add, Record: records[i], TTL: long})
		if ok, err := s.Touch(contextOf(t), keys[i], token, long); !ok || err != nil {
			t.Fatalf("Touch at %q: %v, %v", short(keys[i]), ok, err)
		}
	}
	for i := range keys {
		if err := same(get(t, s, keys[i]), records[i]); err != nil {
			t.Errorf("at %q: %v", short(keys[i]), err)
		}
	}
	for i, r := range s.Get(contextOf(t), keys...) {
		if err := same(r.Record, records[i]); err != nil || r.Err != nil {
			t.Errorf("bulk get at %q: %v, %v", short(keys[i]), err, r.Err)
		}
	}
}
