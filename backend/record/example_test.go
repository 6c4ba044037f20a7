package record_test

import (
	"fmt"
	"time"

	"github.com/strata-cache/strata/backend/record"
)

// A fill that began before a write cannot store what it loaded, because the writer's fence is in its way.
func Example() {
	now := time.Now()
	value := func(body string) []byte {
		h := record.Header{Kind: record.Value, Token: record.NewToken(), Expiry: now.Add(time.Minute)}
		return record.New(h, []byte(body))
	}
	writer := record.NewToken()

	key, _ := record.Apply(nil, record.Step{Verb: record.Place, Expect: writer, TTL: time.Second}, now)
	key, filled := record.Apply(key, record.Step{Verb: record.Add, Record: value("old"), TTL: time.Minute}, now)
	key, written := record.Apply(key, record.Step{Verb: record.Swap, Expect: writer, Record: value("new"), TTL: time.Minute}, now)

	_, body, _ := record.Parse(key)
	fmt.Println(filled, written, string(body))
	// Output: false true new
}
