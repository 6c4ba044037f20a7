package mono_test

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/internal/mono"
	"github.com/strata-cache/strata/internal/weaken"
)

// Not parallel: a suspend is the whole process's, as are the switches.
func TestASuspendCountsAfterAMillisecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin, at := mono.Now(), time.Now()
		defer mono.Suspend(time.Hour)()
		time.Sleep(time.Millisecond)
		if moved := mono.Now() - begin; (moved - time.Hour).Abs() > time.Minute { // the real clocks come with it, and are read one after the other
			t.Errorf("Now moved by %v in 1 h of suspend and 1 ms", moved)
		}
		if of := mono.Of(at); of > begin {
			t.Errorf("Of what was before is %v, Now was %v", of, begin)
		}
		time.Sleep(time.Nanosecond)
		if of, now := mono.Of(time.Now()), mono.Now(); of != now {
			t.Errorf("Of now is %v, Now %v", of, now)
		}
	})
}

func TestOfIsNeverLaterThanNowWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type reading struct {
			at  time.Time
			now time.Duration
		}
		var readings []reading
		for _, slept := range []time.Duration{time.Second, 0, time.Minute, time.Hour} {
			defer mono.Suspend(slept)()
			for range 5 {
				time.Sleep(300 * time.Microsecond)
				readings = append(readings, reading{time.Now(), mono.Now()})
			}
			for _, r := range readings {
				if of := mono.Of(r.at); of > r.now {
					t.Errorf("Of(%v) = %v, Now was %v", r.at, of, r.now)
				}
			}
		}
	})
}

func TestWithoutTheMechanismASuspendIsNotSeen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		defer weaken.Switch(weaken.Suspend)()
		begin := mono.Now()
		defer mono.Suspend(time.Hour)()
		time.Sleep(time.Second)
		if moved := mono.Now() - begin; moved != time.Second {
			t.Errorf("Now moved by %v", moved)
		}
	})
}

// asleep is the environment of a process that says how much time the kernel says it was suspended.
const asleep = "STRATA_TEST_GAP"

func TestMain(m *testing.M) {
	if os.Getenv(asleep) != "" {
		os.Stdout.WriteString(strconv.FormatInt(int64(mono.Gap()), 10))
		return
	}
	os.Exit(m.Run())
}

// A machine cannot be suspended for a test. But a process in a time namespace of its own sees one that was.
func TestTheKernelTellsOfSuspends(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells")
	}
	const slept = 1000 * time.Second
	child := exec.Command("unshare", "--user", "--map-root-user", "--time", "--boottime", strconv.Itoa(int(slept/time.Second)), os.Args[0])
	child.Env = append(os.Environ(), asleep+"=1")
	out, err := child.Output()
	if err != nil {
		t.Skipf("no process in a time namespace can be started here: %v", err)
	}
	there, err := strconv.ParseInt(strings.TrimSpace(string(out)), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	// A reading is too small if the process is interrupted in it.
	if more := time.Duration(there) - mono.Gap(); more < slept-10*time.Second || more > slept+10*time.Second {
		t.Errorf("the clock in a namespace that slept for %v is ahead by %v more than here", slept, more)
	}
}

func BenchmarkLook(b *testing.B) {
	for b.Loop() {
		mono.Look()
	}
}
