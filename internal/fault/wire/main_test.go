package wire_test

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// servertest.Main is not for this package: servertest imports it.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}
