package servertest

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// Main is the body of a package's TestMain: it runs the tests, stops the shared servers, and fails the run when a
// goroutine is left. It does not return. The options are for goroutines of libraries that cannot be stopped; say why at
// the call.
func Main(m *testing.M, opts ...goleak.Option) {
	os.Exit(run(m.Run, opts...))
}

// MainWaiting is Main for a package whose tests wait for TTLs and timeouts far more than they compute: eight of them run at a
// time, as with one a processor they would take minutes.
func MainWaiting(m *testing.M, opts ...goleak.Option) {
	if err := flag.Set("test.parallel", "8"); err != nil {
		panic(err)
	}
	Main(m, opts...)
}

func run(tests func() int, opts ...goleak.Option) int {
	code := tests()
	// Before the search for leaks: each running server has a goroutine that waits for it.
	if err := stopShared(); err != nil {
		fmt.Fprintf(os.Stderr, "servertest: stop shared servers: %v\n", err)
		code = max(code, 1)
	}
	if code != 0 {
		return code // a failed test leaves goroutines behind as a matter of course; they would hide why it failed
	}
	if err := goleak.Find(opts...); err != nil {
		fmt.Fprintf(os.Stderr, "servertest: goroutines left behind: %v\n", err)
		return 1
	}
	return 0
}
