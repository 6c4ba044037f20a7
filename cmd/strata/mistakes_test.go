package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandsThatMustFailSayWhyAndExitWithTheirCode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "cut.trace"), []byte("abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	const down = "redis://user:hunter2@127.0.0.1:1"
	for _, c := range []struct {
		code int
		says string
		args string
	}{
		{2, "which command", ""},
		{2, "did you mean bench", "benhc"},
		{2, "unknown flag", "demo --nope"},
		{2, "nodes is 0", "demo --nodes 0 --duration 0s"},
		{2, "duration is 0s", "demo --duration 0s"},
		{2, "unknown command", "demo extra"},
		{2, "not memory://", "demo --processes"},
		{2, "a bus is redis", "demo --bus http://user:hunter2@host"},
		{2, "which backend", "bench"},
		{2, "memory", "bench --backend nosuch://user:hunter2@host"},
		{2, "belong together", "bench --backend memory:// --workload trace"},
		{2, "unknown workload", "bench --backend memory:// --workload sideways"},
		{2, "--rounds", "bench --backend memory:// --rounds 0"},
		{2, "keys", "bench --backend memory:// --keys -5"},
		{1, "nosuch.file", "bench --backend memory:// --trace nosuch.file"},
		{1, "cut.trace: at byte 4 of its data: the file is truncated", "bench --backend memory:// --trace cut.trace --trace-format cache2k"},
		{2, "arg", "get"},
		{2, "which cache", "get --backend memory:// key"},
		{2, "exclude", "get --backend memory:// --cache c --raw --json key"},
		{2, "arg", "set --backend memory:// --cache c key"},
		{2, "b@d", "set --backend memory:// --cache b@d key value"},
		{2, "--ttl", "set --backend memory:// --cache c --ttl 0s key value"},
		{2, "what?", "invalidate --backend memory:// --cache c"},
		{2, "exclude each other", "invalidate --backend memory:// --cache c --tag t key"},
		{2, "exclude each other", "invalidate --backend memory:// --cache c --tag t --all"},
		{2, "exclude each other", "invalidate --backend memory:// --cache c --prefix p --all"},
		{2, "--all for everything", "invalidate --backend memory:// --cache c --prefix="},
		{0, "", "invalidate --backend memory:// --cache c --tag t --tag u"},
		{2, "a bus is redis", "invalidate --backend memory:// --cache c --bus memory:// key"},
		{2, "which bus", "watch"},
		{2, "a bus is redis", "watch --bus memory://"},
		{2, "--timeout", "watch --timeout 0s --bus " + down},
		{2, "unknown command", "watch --bus " + down + " products"},
		{4, "unavailable", "watch --bus " + down},
		{3, "no value", "get --backend memory:// --cache c key"},
		{4, "unavailable", "get --cache c key --backend " + down},
		{4, "does not answer", "demo --backend " + down},
		{4, "does not answer", "bench --backend " + down},
		{0, "", "set --backend memory:// --cache c key value"},
		{0, "", "delete --backend memory:// --cache c key"},
		{2, "which check", "check"},
		{2, "did you mean coherence", "check coherense"},
		{2, "--max-staleness", "check coherence --max-staleness 1ms"},
		{2, "neither a URL nor", "check coherence --backend nosuch --bus redis"},
		{2, "can carry no bus", "check coherence --backend redis --bus nosuch"},
		{2, "of one server", "check coherence --backend redis-cluster://user:hunter2@host"},
		{2, "which command", "journal"},
		{2, "did you mean drain", "journal drian"},
		{2, "which journal", "journal ls --name n"},
		{2, "which queue", "journal ls --journal " + down},
		{2, "a journal is the path", "journal ls --name n --journal memory://user:hunter2@host"},
		{1, "nosuch.journal", "journal ls --name n --journal nosuch.journal"},
		{2, "--timeout", "journal drain --timeout 0s --name n --journal " + down},
		{2, "Prefix", "journal ls --prefix {} --name n --journal " + down},
		{2, "what?", "journal retry --name n --journal " + down},
		{2, "exclude each other", "journal purge --all --name n --journal " + down + " key"},
		{4, "unavailable", "journal ls --name n --journal " + down},
		{4, "unavailable", "journal purge --all --name n --journal " + down},
		{2, "which command", "config"},
		{2, "did you mean validate", "config valdate"},
		{2, "arg", "config validate a b"},
		{2, "--timeout", "config validate --timeout 0s"},
		{2, "unknown command", "config schema x"},
		{1, "no such file", "config validate nosuch.yaml"},
		{1, "strata.yaml", "config validate"},
		{0, "", "version"},
		{0, "", "completion bash"},
		{0, "", "help bench"},
	} {
		t.Run(c.args, func(t *testing.T) {
			got := strata(t, dir, "", nil, strings.Fields(c.args)...)
			if got.code != c.code || !strings.Contains(got.err, c.says) {
				t.Errorf("exit code %d, want %d; standard error, which should say %q:\n%s", got.code, c.code, c.says, got.err)
			}
		})
	}
}
