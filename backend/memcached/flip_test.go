package memcached_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/strata-cache/strata/backend/driver"
	"github.com/strata-cache/strata/backend/record"
	"github.com/strata-cache/strata/internal/fault/wire"
)

// The process id is part of every stored key. Of a reply that is changed on its way a writer would learn another one, and empty a key
// at which nobody reads.
func TestAProcessIDThatIsChangedOnItsWayIsNotBelieved(t *testing.T) {
	t.Parallel()
	srv := own(t, 1)[0]
	proxy, err := wire.New(srv.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { proxy.Close() })
	reader, writer := open(t, poolURL("timeout=5s", srv)), open(t, "memcached://"+proxy.Addr()+"?timeout=5s")
	add(t, reader, "k", "old", time.Hour)
	done := false // the flip, of the first connection's replies; the proxy has one goroutine for these
	proxy.Set(wire.Fault{Rewrite: func(conn int) func([]byte) []byte {
		return func(piece []byte) []byte {
			const before = "STAT pid "
			if i := bytes.Index(piece, []byte(before)); i >= 0 && conn == 0 && !done {
				done = true
				piece[i+len(before)] ^= 1
			}
			return piece
		}
	}}, wire.ToClient)
	e := writer.Write(t.Context(), driver.Op{Key: "k", Step: record.Step{Verb: record.Delete}})[0]
	if got := bodyAt(t, reader, "k"); e.Outcome == driver.Done && got != "" {
		t.Errorf("%q is there after a Delete that was acknowledged", got)
	}
	eventually(t, "write on another connection", func() error {
		return writer.Write(t.Context(), driver.Op{Key: "k", Step: record.Step{Verb: record.Delete}})[0].Err
	})
	if got := bodyAt(t, reader, "k"); got != "" {
		t.Errorf("%q is there after a Delete that was acknowledged", got)
	}
}
