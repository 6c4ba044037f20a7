package servertest

import (
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/server"
)

// recorder is a testing.TB that notes how a test was ended instead of ending this one.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper()                   {}
func (r *recorder) Skip(args ...any)          { r.skipped = "skipped"; runtime.Goexit() }
func (r *recorder) Skipf(f string, a ...any)  { r.skipped = sprint(f, a); runtime.Goexit() }
func (r *recorder) Fatal(args ...any)         { r.failed = "failed"; runtime.Goexit() }
func (r *recorder) Fatalf(f string, a ...any) { r.failed = sprint(f, a); runtime.Goexit() }

func sprint(f string, a []any) string {
	var b strings.Builder
	b.WriteString(f)
	for _, v := range a {
		if s, ok := v.(string); ok {
			b.WriteString(" " + s)
		}
	}
	return b.String()
}

func requireIn(t *testing.T, env string, err error) *recorder {
	t.Helper()
	t.Setenv(EnvRequire, env)
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() { // joined below; Require ends it as it would end a test
		defer close(done)
		Require(r, err)
	}()
	<-done
	return r
}

// Not parallel: these set the environment.

func TestAMissingServerSkipsWithTheCommandThatInstallsIt(t *testing.T) {
	r := requireIn(t, "", &server.MissingError{Name: "redis-server", Component: "redis"})
	if r.failed != "" || !strings.Contains(r.skipped, "scripts/setup redis") {
		t.Errorf("skipped %q, failed %q", r.skipped, r.failed)
	}
}

func TestAMissingServerFailsWhereServersAreRequired(t *testing.T) {
	r := requireIn(t, "1", &server.MissingError{Name: "redis-server", Component: "redis"})
	if r.failed == "" || r.skipped != "" {
		t.Errorf("skipped %q, failed %q", r.skipped, r.failed)
	}
}

func TestAnotherErrorFailsAlways(t *testing.T) {
	r := requireIn(t, "", errors.New("the server did not start"))
	if r.failed == "" || r.skipped != "" {
		t.Errorf("skipped %q, failed %q", r.skipped, r.failed)
	}
}

func TestMainFailsForALeftGoroutine(t *testing.T) {
	silence(t)
	stop, done := make(chan struct{}), make(chan struct{})
	code := run(func() int {
		go func() { // the leak; joined at the end
			defer close(done)
			<-stop
		}()
		return 0
	})
	close(stop)
	<-done
	if code != 1 {
		t.Errorf("exit code %d for a leaked goroutine", code)
	}
}

func TestMainKeepsTheCodeOfFailedTests(t *testing.T) {
	if code := run(func() int { return 3 }); code != 3 {
		t.Errorf("exit code %d, want 3", code)
	}
}

// silence hides the report of a leak that a test makes on purpose.
func silence(t *testing.T) {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	old := os.Stderr
	os.Stderr = null
	t.Cleanup(func() { os.Stderr = old; null.Close() })
}
