package weaken_test

import (
	"bytes"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/weaken"
)

func TestSwitchIsForTheNamedOnly(t *testing.T) { // not parallel: the switches are the process's
	ms, err := weaken.Parse(" lease, trust,")
	if err != nil || !slices.Equal(ms, []weaken.Mechanism{weaken.Lease, weaken.Trust}) {
		t.Fatal(ms, err)
	}
	restore := weaken.Switch(ms...)
	for _, m := range weaken.All() {
		if got, want := weaken.Off(m), slices.Contains(ms, m); got != want {
			t.Errorf("%v is off: %t", m, got)
		}
	}
	restore()
	if slices.ContainsFunc(weaken.All(), weaken.Off) {
		t.Error("still off after restore")
	}
}

func TestEveryMechanismHasAName(t *testing.T) {
	t.Parallel()
	for _, m := range weaken.All() {
		if ms, err := weaken.Parse(m.String()); err != nil || !slices.Equal(ms, []weaken.Mechanism{m}) {
			t.Errorf("%v: %v, %v", m, ms, err)
		}
	}
	if _, err := weaken.Parse("nothing"); err == nil {
		t.Error("a name that is none was accepted")
	}
}

func TestNothingButTestsSwitches(t *testing.T) {
	t.Parallel()
	root := os.DirFS("../..")
	found := 0
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != ".":
			return fs.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, ".go"):
			return nil
		}
		b, err := fs.ReadFile(root, path)
		if err == nil && bytes.Contains(b, []byte("weaken."+"Switch(")) {
			if found++; !strings.HasSuffix(path, "_test.go") {
				t.Errorf("%s switches mechanisms off, and is no test", path)
			}
		}
		return err
	})
	if err != nil || found == 0 {
		t.Errorf("%d files found, %v", found, err)
	}
}
