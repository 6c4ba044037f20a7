package driver_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/driver"
)

// plain is a driver without capabilities.
type plain struct{ driver.Driver }

// counter is a driver with one.
type counter struct {
	driver.Driver
	sum int64
}

func (c counter) Count(context.Context, string, int64, time.Duration) (int64, error) {
	return c.sum, nil
}

// transparent decorates without any capability of its own.
type transparent struct{ driver.Driver }

func (d transparent) Unwrap() driver.Driver { return d.Driver }

// seeing decorates with a capability, whether or not there is one below.
type seeing struct{ counter }

func (d seeing) Unwrap() driver.Driver { return d.Driver }

func TestADecoratorHasACapabilityOnlyIfWhatItDecoratesHasIt(t *testing.T) {
	t.Parallel()
	over := func(d driver.Driver, sum int64) driver.Driver { return seeing{counter{d, sum}} }
	for name, tc := range map[string]struct {
		d   driver.Driver
		sum int64 // of the one found, 0 for none
	}{
		"none":                               {plain{}, 0},
		"nothing":                            {nil, 0},
		"own":                                {counter{nil, 1}, 1},
		"through a decorator":                {transparent{transparent{counter{nil, 1}}}, 1},
		"a decorator's, over one":            {over(counter{nil, 1}, 2), 2},
		"the outermost decorator's":          {transparent{over(transparent{over(counter{nil, 1}, 2)}, 3)}, 3},
		"a decorator's, over none":           {over(plain{}, 2), 0},
		"a decorator's, over a bare one":     {over(transparent{plain{}}, 2), 0},
		"a decorator's, over a decorator's":  {over(over(plain{}, 1), 2), 0},
		"a decorator's, that hides the rest": {counter{counter{nil, 1}, 2}, 2},
	} {
		c, ok := driver.As[driver.Counter](tc.d)
		if ok != (tc.sum != 0) {
			t.Errorf("%s: found %v", name, ok)
		} else if ok {
			if sum, _ := c.Count(t.Context(), "", 0, 0); sum != tc.sum {
				t.Errorf("%s: found that of %d, want %d", name, sum, tc.sum)
			}
		}
	}
}

func TestAllIsEveryCapability(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "capability.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	wanted, all := []string{"Driver"}, []string{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		in, ok := spec.Type.(*ast.InterfaceType)
		switch {
		case !ok, spec.Name.Name == "Rider": // which is handed to a RiderWriter
		case spec.Name.Name == "All":
			for _, m := range in.Methods.List {
				all = append(all, m.Type.(*ast.Ident).Name)
			}
		default:
			wanted = append(wanted, spec.Name.Name)
		}
		return false
	})
	slices.Sort(wanted)
	slices.Sort(all)
	if !slices.Equal(all, wanted) {
		t.Errorf("All is %v, want %v", all, wanted)
	}
}
