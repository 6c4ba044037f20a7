package memo

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"math/big"
	"net/netip"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

var rewrite = flag.Bool("rewrite", false, "write testdata/keys.golden anew: every cache loses what it has")

type (
	country string
	hidden  struct{ secret string }
	id      [3]byte
	base    struct{ X int }
	Named   struct{ N string }
	node    struct {
		V    int
		Next *node
	}
	query struct {
		Limit   int
		Country country
		_       struct{}
	}
	embedding struct {
		base
		Named
		At time.Time
	}
	stamped struct { // has the text of its time alone
		time.Time
		Who string
	}
	password string // its text says nothing
)

func (h hidden) MarshalText() ([]byte, error) {
	if h.secret == "bad" {
		return nil, errors.New("no text today")
	}
	return []byte("<" + h.secret + ">"), nil
}

func (h *hidden) UnmarshalText(b []byte) error {
	h.secret = strings.Trim(string(b), "<>")
	return nil
}

func (password) MarshalText() ([]byte, error) { return []byte("***"), nil }
func (*password) UnmarshalText([]byte) error  { return nil }

func keyOf[A any](t testing.TB, a A) string {
	t.Helper()
	f, err := formOf(reflect.TypeFor[A]())
	if err != nil {
		t.Fatal(err)
	}
	b, err := f.write(nil, reflect.ValueOf(&a).Elem())
	if err != nil {
		t.Fatal(err)
	}
	var back A
	r := reader{form: f, rest: string(b)}
	if err := r.readValue(reflect.ValueOf(&back).Elem()); err != nil || r.rest != "" {
		t.Errorf("%s is not read back: %v, %q is left", b, err, r.rest)
	}
	again, err := f.write(nil, reflect.ValueOf(&back).Elem())
	if err != nil || string(again) != string(b) {
		t.Errorf("%s is read back as %s, %v", b, again, err)
	}
	return string(b)
}

func TestKeysAreWhatTheyWereInOtherBuilds(t *testing.T) {
	t.Parallel()
	five := 5
	cet := time.FixedZone("CET", 3600)
	at := time.Unix(1_700_000_000, 5)
	keys := []string{
		"bool", keyOf(t, true), keyOf(t, false),
		"integers", keyOf(t, -1), keyOf(t, int8(1)), keyOf(t, int16(1)), keyOf(t, int32(1)), keyOf(t, int64(1)), keyOf(t, int64(math.MinInt64)),
		keyOf(t, uint(1)), keyOf(t, uint8(1)), keyOf(t, uint16(1)), keyOf(t, uint32(1)), keyOf(t, uint64(math.MaxUint64)),
		"floats", keyOf(t, 1.5), keyOf(t, float32(1.5)), keyOf(t, 0.0), keyOf(t, math.Copysign(0, -1)), keyOf(t, math.Inf(1)),
		keyOf(t, math.NaN()), keyOf(t, float32(math.NaN())), keyOf(t, complex(1, -2)), keyOf(t, complex64(complex(1, -2))),
		"strings", keyOf(t, ""), keyOf(t, "1"), keyOf(t, country("Österreich")), keyOf(t, "a\x00,b{c}%"),
		"bytes", keyOf(t, []byte(nil)), keyOf(t, []byte{}), keyOf(t, []byte{1, 2, 3}), keyOf(t, [3]byte{1, 2, 3}), keyOf(t, id{1, 2, 3}), keyOf(t, json.RawMessage("null")),
		"pointers", keyOf(t, (*int)(nil)), keyOf(t, &five), keyOf(t, node{1, &node{2, nil}}),
		"slices and arrays", keyOf(t, []int(nil)), keyOf(t, []int{}), keyOf(t, []int{1, 2}), keyOf(t, []string{"1,2", ""}), keyOf(t, [2]string{"a", "b"}), keyOf(t, [][]int{{1}, nil, {}}),
		"maps", keyOf(t, map[string]int(nil)), keyOf(t, map[string]int{}), keyOf(t, map[string]int{"b": 2, "a": 1, "aa": 3}), keyOf(t, map[[1]float64]bool{{2}: true, {-1}: false}),
		"structs", keyOf(t, struct{}{}), keyOf(t, query{10, "de", struct{}{}}), keyOf(t, struct {
			Country country
			Limit   int
		}{"de", 10}), keyOf(t, embedding{base{1}, Named{"n"}, at.In(cet)}), keyOf(t, Args2[string, int]{"EUR", 2}), keyOf(t, Args3[string, int, bool]{"EUR", 2, true}),
		"times", keyOf(t, time.Time{}), keyOf(t, at.UTC()), keyOf(t, at.In(cet)), keyOf(t, stamped{at.UTC(), "me"}), keyOf(t, time.Second),
		"texts", keyOf(t, hidden{"x"}), keyOf(t, netip.MustParseAddr("fe80::1%eth0")), keyOf(t, big.NewInt(-7)), keyOf(t, password("secret")),
		"too long", shorten(strings.Repeat("x", longest)), shorten(strings.Repeat("x", longest+1)),
		"variants", variantTag("country", "de"), variantTag("country", strings.Repeat("x", longest+1)),
	}
	got := strings.Builder{}
	seen := map[string]bool{}
	for _, k := range keys {
		fmt.Fprintf(&got, "%q\n", k)
		if seen[k] && !strings.HasPrefix(k, "(Country=") && !strings.HasPrefix(k, "Y") { // the same by another name
			t.Errorf("%q is written for two", k)
		}
		seen[k] = true
	}
	const golden = "testdata/keys.golden"
	if *rewrite {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(got.String(), "\n") {
		if lines := strings.Split(string(want), "\n"); i >= len(lines) || line != lines[i] {
			t.Errorf("line %d of %s is now %s", i+1, golden, line)
		}
	}
}

// A tangle is made of everything that could be taken for something else.
type tangle struct {
	S  string
	T  country
	L  []string
	LL [][]int8
	B  []byte
	A  [2]string
	M  map[string][]string
	K  map[[2]int8]bool
	P  *string
	PP **int8
	F  float64
	C  complex64
	U  uint16
	N  struct{ S, T string }
	At time.Time
	H  hidden
	Q  *tangle
}

var (
	// Text that is much like what is written.
	words  = rapid.StringOfN(rapid.SampledFrom([]rune(",:()=-s12pé\x00")), 0, 4, -1)
	smalls = rapid.Int8Range(-1, 1)
)

func drawTangle(t *rapid.T, depth int) tangle {
	word := func(label string) string { return words.Draw(t, label) }
	optional := func(label string) bool { return rapid.Bool().Draw(t, label) }
	v := tangle{
		S: word("S"), T: country(word("T")), A: [2]string{word("A0"), word("A1")},
		B: []byte(word("B")), F: float64(smalls.Draw(t, "F")) / 2, C: complex(float32(smalls.Draw(t, "C")), 0),
		U: uint16(rapid.IntRange(0, 2).Draw(t, "U")), At: time.Unix(int64(smalls.Draw(t, "sec")), int64(rapid.IntRange(0, 1).Draw(t, "nsec"))).UTC(),
		H: hidden{strings.Trim(word("H"), "<>")},
	}
	v.N.S, v.N.T = word("NS"), word("NT")
	if optional("L") {
		v.L = rapid.SliceOfN(words, 0, 2).Draw(t, "L")
	}
	if optional("LL") {
		v.LL = rapid.SliceOfN(rapid.SliceOfN(smalls, 0, 2), 0, 2).Draw(t, "LL")
	}
	if optional("M") {
		v.M = rapid.MapOfN(words, rapid.SliceOfN(words, 0, 2), 0, 2).Draw(t, "M")
	}
	if optional("K") {
		v.K = map[[2]int8]bool{{smalls.Draw(t, "K"), 1}: true}
	}
	if optional("P") {
		v.P = new(word("P"))
	}
	if optional("PP") {
		v.PP = new(new(smalls.Draw(t, "PP")))
	}
	if depth > 0 && optional("Q") {
		v.Q = new(drawTangle(t, depth-1))
	}
	return v
}

func TestDifferentArgumentsHaveDifferentKeysAndEqualOnesTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawTangle(t, 1), drawTangle(t, 1)
		if rapid.Bool().Draw(t, "near") { // differ in a single field at most
			c := a
			from, to := reflect.ValueOf(b), reflect.ValueOf(&c).Elem()
			i := rapid.IntRange(0, to.NumField()-1).Draw(t, "field")
			to.Field(i).Set(from.Field(i))
			b = c
		}
		f, err := formOf(reflect.TypeFor[tangle]())
		if err != nil {
			t.Fatal(err)
		}
		key := func(v *tangle) string {
			k, err := f.write(nil, reflect.ValueOf(v).Elem())
			if err != nil {
				t.Fatal(err)
			}
			var back tangle
			r := reader{form: f, rest: string(k)}
			if err := r.readValue(reflect.ValueOf(&back).Elem()); err != nil || r.rest != "" || !reflect.DeepEqual(*v, back) {
				t.Fatalf("%q of %+v is read back as %+v, %v, with %q left", k, *v, back, err, r.rest)
			}
			return string(k)
		}
		if ka, kb := key(&a), key(&b); (ka == kb) != reflect.DeepEqual(a, b) || (shorten(ka) == shorten(kb)) != (ka == kb) {
			t.Fatalf("%+v is written %q,\n%+v is written %q", a, ka, b, kb)
		}
	})
}

func FuzzKeys(f *testing.F) {
	f.Add("s1:a,", "b", int64(1), 0.5, []byte{1}, uint8(3))
	f.Add("(A=s0:,B=s0:,)", ",)", int64(-1), 0.0, []byte(nil), uint8(0))
	f.Add("p-,", "l2(s1:a,s0:,)", int64(0), math.Inf(-1), []byte{}, uint8(255))
	form, err := formOf(reflect.TypeFor[tangle]())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, s, u string, i int64, x float64, b []byte, bits uint8) {
		v := tangle{S: s, T: country(u), F: x, B: b, U: uint16(i), At: time.Unix(i, 0).UTC(), H: hidden{strings.Trim(u, "<>")}}
		if bits&1 != 0 {
			v.L, v.P = []string{s, u}, &s
		}
		if bits&2 != 0 {
			v.M = map[string][]string{s: nil, u: {}}
		}
		if bits&4 != 0 {
			v.Q = &tangle{N: struct{ S, T string }{s, u}}
		}
		if len(s)+len(u)+len(b) < 1<<10 && v.H.secret != "bad" {
			keyOf(t, v)
		}
		var back tangle
		r := reader{form: form, rest: s} // must not panic, whatever it is
		if r.readValue(reflect.ValueOf(&back).Elem()) == nil {
			if k, err := form.write(nil, reflect.ValueOf(&back).Elem()); err == nil {
				var again tangle
				r := reader{form: form, rest: string(k)}
				if err := r.readValue(reflect.ValueOf(&again).Elem()); err != nil {
					t.Errorf("%q: %v", k, err)
				}
			}
		}
	})
}

func TestTypesWithoutAFormAreRefusedByTheirPath(t *testing.T) {
	t.Parallel()
	type unreadable struct{ x int }
	_ = unreadable{}.x
	type within struct {
		Deep map[string][]*struct{ F func() }
	}
	type itself struct {
		Next *itself
		Ch   chan int
	}
	for want, typ := range map[string]reflect.Type{
		"argument: a func() has no form that stays the same":                                    reflect.TypeFor[func()](),
		"argument.Deep[][]*.F: a func() has no form that stays the same":                        reflect.TypeFor[within](),
		"argument.Ch: a chan int has no form that stays the same":                               reflect.TypeFor[itself](),
		"argument[]: a interface {} has no form that stays the same":                            reflect.TypeFor[[]any](),
		"argument[key]: a error has no form that stays the same":                                reflect.TypeFor[map[error]int](),
		"argument: a uintptr has no form that stays the same":                                   reflect.TypeFor[uintptr](),
		"argument.x: not exported, and memo.unreadable is no TextMarshaler and TextUnmarshaler": reflect.TypeFor[unreadable](),
		"argument.hidden: not exported, and has a text only":                                    reflect.TypeFor[struct{ hidden }](),
		"argument.hidden: not exported, and struct { *memo.hidden; x int } is no TextMarshaler and TextUnmarshaler": reflect.TypeFor[struct {
			*hidden
			x int
		}](),
	} {
		_, err := formOf(typ)
		a, ok := errors.AsType[*ArgumentError](named("f", err))
		if !ok || a.Error() != "memo: f: "+want {
			t.Errorf("%v: %v, want %s", typ, err, want)
		}
	}
}

func TestValuesWithoutAFormAreErrorsOfTheCall(t *testing.T) {
	t.Parallel()
	circle := &node{}
	circle.Next = circle
	one, other := 1, 1
	for want, v := range map[string]any{
		"nested more than 1000 deep":   circle,
		"argument[2]: its text: no":    []hidden{{}, {}, {"bad"}},
		"argument[key]: NaN":           map[float64]int{math.NaN(): 1},
		"argument[key]: two keys are":  map[*int]bool{&one: true, &other: false},
		"more than 65536 bytes":        bytes.Repeat([]byte("x"), maxSize),
		"[key]: NaN: the value":        struct{ M map[[1]float64]int }{map[[1]float64]int{{math.NaN()}: 1}},
		": more than 65536 bytes when": map[string]string{"a": strings.Repeat("x", maxSize)},
	} {
		f, err := formOf(reflect.TypeOf(v))
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.write(nil, reflect.ValueOf(v))
		if err == nil || !strings.Contains(named("f", err).Error(), want) {
			t.Errorf("%T: %v, want %s", v, err, want)
		}
	}
}

func TestOnlyWhatTheOperatorComparesAsItIsWrittenIsAKeyItself(t *testing.T) {
	t.Parallel()
	for typ, want := range map[reflect.Type]bool{
		reflect.TypeFor[string]():                 true,
		reflect.TypeFor[Args2[country, int64]]():  true,
		reflect.TypeFor[[2]struct{ B [3]byte }](): true,
		reflect.TypeFor[password]():               true,
		reflect.TypeFor[float64]():                false,
		reflect.TypeFor[*int]():                   false,
		reflect.TypeFor[struct{ T time.Time }]():  false,
		reflect.TypeFor[hidden]():                 false,
		reflect.TypeFor[[1]complex64]():           false,
	} {
		if f, err := formOf(typ); err != nil || f.direct != want {
			t.Errorf("%v: %v, %v", typ, f, err)
		}
	}
}
