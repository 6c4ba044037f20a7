package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/strata-cache/strata/internal/server"
)

// newServer is hidden: it is for trying out the other commands where no server runs.
func newServer(s streams) *cobra.Command {
	start := map[string]func(context.Context) (*server.Server, error){
		"redis":     func(ctx context.Context) (*server.Server, error) { return server.Redis(ctx, nil) },
		"memcached": func(ctx context.Context) (*server.Server, error) { return server.Memcached(ctx, nil) },
		"hazelcast": func(ctx context.Context) (*server.Server, error) { return server.Hazelcast(ctx, nil) },
	}
	return &cobra.Command{
		Use:       "server redis|memcached|hazelcast",
		Short:     "Run an empty server on a free port of this machine until interrupted",
		Long:      "Run an empty server on a free port of this machine, print its URL, and stop it when interrupted.\nThe server's program must be installed: scripts/setup does that.",
		Example:   "  strata server redis",
		Hidden:    true,
		ValidArgs: []string{"redis", "memcached", "hazelcast"},
		Args:      args(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		RunE: func(cmd *cobra.Command, a []string) (err error) {
			srv, err := start[a[0]](cmd.Context())
			if err != nil {
				return err
			}
			defer closeAll(&err, srv.Close)
			if _, err := fmt.Fprintln(s.out, srv.URL()); err != nil {
				return err
			}
			<-cmd.Context().Done()
			return nil
		},
	}
}
