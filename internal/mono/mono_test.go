package mono_test

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/strata-cache/strata/internal/mono"
)

func TestNowMovesWithTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		before := mono.Now()
		at := time.Now()
		time.Sleep(3 * time.Second)
		if moved := mono.Now() - before; moved != 3*time.Second {
			t.Fatalf("Now moved by %v in 3 s", moved)
		}
		if mono.Of(at) != before {
			t.Fatalf("Of(%v) = %v, Now was %v", at, mono.Of(at), before)
		}
	})
}

func BenchmarkNow(b *testing.B) {
	for b.Loop() {
		_ = mono.Now()
	}
}

func ExampleNow() {
	deadline := mono.Now() + time.Hour
	fmt.Println("expired:", mono.Now() >= deadline)
	// Output: expired: false
}
