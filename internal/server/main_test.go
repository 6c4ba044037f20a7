package server_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/strata-cache/strata/internal/server"
	"github.com/strata-cache/strata/internal/servertest"
)

// envOwner makes the test binary the owner of one server of the named kind, for tests that kill an owner.
const envOwner = "STRATA_TEST_SERVER_OWNER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(envOwner); kind != "" {
		os.Exit(own(kind))
	}
	servertest.Main(m)
}

var kinds = map[string]func(context.Context) (*server.Server, error){
	"redis":     func(ctx context.Context) (*server.Server, error) { return server.Redis(ctx, nil) },
	"memcached": func(ctx context.Context) (*server.Server, error) { return server.Memcached(ctx, nil) },
	"hazelcast": func(ctx context.Context) (*server.Server, error) { return server.Hazelcast(ctx, nil) },
}

// own starts a server, says which, and waits to be killed. Its input ends when the test that started it is gone.
func own(kind string) int {
	s, err := kinds[kind](context.Background())
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("pid", s.Pid())
	if os.Getenv(envOwner+"_PAUSE") != "" {
		if err := s.Pause(); err != nil {
			fmt.Println("error", err)
			return 1
		}
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return 0
}
