// Command sharedmember runs one Hazelcast member for all test processes of a run. It prints the member's URL when the
// member is ready, and stops it when its standard input ends or it is told to end: scripts/test holds that input open,
// so however the script ends, the member does not outlive it.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/strata-cache/strata/internal/server"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "sharedmember:", err)
		os.Exit(1)
	}
}

func run() error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	// Owner: run. Stop signal: the end of the input. Join: none, the process ends with run.
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	s, err := server.Hazelcast(ctx, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := fmt.Println(s.URL()); err != nil {
		return err
	}
	<-ctx.Done()
	return s.Close()
}
