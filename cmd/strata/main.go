// Command strata tries the cache out, measures it, and looks after the caches of running programs.
//
//	strata demo                                        three nodes, a slow source, and what the cache does for them
//	strata bench --backend redis://localhost:6379      the same work on each backend that is named
//	strata get --backend URL --cache products 42       what a running program's cache holds
//	strata watch --bus redis://localhost:6379          what is invalidated, as it happens
//	strata journal ls --name products/1                what was accepted and the source does not have yet
//	strata config validate strata.yaml                 all mistakes in a configuration
//
// strata help, and strata COMMAND --help, say more. It is the only place that links every backend.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	redislog "github.com/redis/go-redis/v9/logging"
)

func main() {
	redislog.Disable() // what it would print is in the errors that commands return
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}

// run is the whole program: it returns the exit code.
func run(ctx context.Context, args []string, s streams) int {
	root := newRoot(s)
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	if message := err.Error(); message != "" {
		fmt.Fprintln(s.err, "strata:", message)
	}
	code := exitCode(err)
	if code == exitUsage {
		fmt.Fprintln(s.err, "strata: add --help to any command to see how it is used")
	}
	return code
}
