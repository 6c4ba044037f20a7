package redisjournal_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"time"

	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/redisjournal"
)

// envConsume is the URL of the server at which this program is to take, instead of running tests.
const envConsume = "STRATA_TEST_CONSUME"

const consumerTakeOver = 2 * time.Second

// consumeIfAsked takes everything there is, prints how much, and when it is told to go on says Done.
func consumeIfAsked() {
	url := os.Getenv(envConsume)
	if url == "" {
		return
	}
	fail := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	j, err := redisjournal.Open(context.Background(), url, nil)
	fail(err)
	q, err := j.Open("queue", (&journal.Options{TakeOver: consumerTakeOver}).WithDefaults())
	fail(err)
	entries, err := q.Take(context.Background(), 1000)
	fail(err)
	fmt.Println("taken", len(entries))
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	fail(q.Done(context.Background(), entries))
	fmt.Println("done")
	in.Scan()
	os.Exit(0)
}
