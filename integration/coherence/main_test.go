package coherence_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	redislog "github.com/redis/go-redis/v9/logging"

	"github.com/strata-cache/strata/integration/coherence"
	"github.com/strata-cache/strata/integration/coherence/node"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/internal/weaken"
)

// envNode makes the test binary be a node. Its value are the mechanisms that the node does without.
const envNode = "STRATA_TEST_NODE"

func TestMain(m *testing.M) {
	without, isNode := os.LookupEnv(envNode)
	if !isNode {
		_ = flag.Set("test.parallel", "4") // most of what checks do is wait
		servertest.Main(m)
	}
	redislog.Disable() // what goes wrong is meant to
	mechanisms, err := weaken.Parse(without)
	if err == nil {
		weaken.Switch(mechanisms...)
		err = node.Serve(context.Background(), os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// check runs a check whose nodes lack some mechanisms.
func check(t *testing.T, c *coherence.Config, without ...weaken.Mechanism) *coherence.Report {
	t.Helper()
	exe, err := os.Executable()
	servertest.Require(t, err)
	var names []string
	for _, m := range without {
		names = append(names, m.String())
	}
	var said bytes.Buffer
	c.NodeErrors = &said
	c.Command = func() *exec.Cmd {
		cmd := exec.Command(exe)
		cmd.Env = append(os.Environ(), envNode+"="+strings.Join(names, ","))
		return cmd
	}
	if c.MaxStaleness == 0 {
		c.MaxStaleness = time.Second
	}
	if c.Seed == 0 {
		c.Seed = uint64(time.Now().UnixNano())
	}
	report, err := coherence.Run(t.Context(), c)
	servertest.Require(t, err)
	if said.Len() > 0 {
		t.Errorf("nodes said: %s", said.String())
	}
	return report
}

func text(r *coherence.Report) string {
	var b strings.Builder
	_ = r.WriteText(&b)
	return b.String()
}
