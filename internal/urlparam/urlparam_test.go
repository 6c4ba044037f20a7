package urlparam_test

import (
	"testing"
	"time"

	"github.com/strata-cache/strata/internal/urlparam"
)

type options struct {
	timeout time.Duration
	size    int
}

var known = urlparam.Set[options]{
	"timeout": func(o *options, v string) error { return urlparam.Duration(&o.timeout, "timeout", v) },
	"size":    func(o *options, v string) error { return urlparam.Count(&o.size, "size", v) },
}

func TestGoodParametersAreSet(t *testing.T) {
	t.Parallel()
	var o options
	if err := known.Apply(&o, "timeout=250ms&size=3"); err != nil {
		t.Fatal(err)
	}
	if want := (options{250 * time.Millisecond, 3}); o != want {
		t.Errorf("got %v, want %v", o, want)
	}
}

func TestEveryProblemIsNamed(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]string{
		"%zz":            "malformed URL parameters",
		"tiemout=1s":     `unknown URL parameter "tiemout"; known: size, timeout`,
		"size=1&size=2":  `URL parameter "size" is given 2 times`,
		"size=0":         `URL parameter size="0" is not a positive number`,
		"timeout=-1s":    `URL parameter timeout="-1s" is not a positive duration such as 250ms`,
		"b=1&size=x&a=2": "unknown URL parameter \"a\"; known: size, timeout\nunknown URL parameter \"b\"; known: size, timeout\nURL parameter size=\"x\" is not a positive number",
	} {
		if err := known.Apply(new(options), query); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", query, err, want)
		}
	}
}
