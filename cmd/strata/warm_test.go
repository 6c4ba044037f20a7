package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/strata-cache/strata/internal/servertest"
)

func TestWarmStoresWhatIsNotThere(t *testing.T) {
	t.Parallel()
	url, name := servertest.SharedRedis(t).URL(), servertest.Key(t)
	in := filepath.Join(t.TempDir(), "in")
	at := filepath.Join(t.TempDir(), "at")
	call := func(want int, args ...string) string {
		t.Helper()
		var out, errs strings.Builder
		if code := run(t.Context(), args, streams{in: strings.NewReader(""), out: &out, err: &errs}); code != want {
			t.Fatalf("%v: exit code %d: %s", args, code, errs.String())
		}
		return out.String() + errs.String()
	}
	on := []string{"--backend", url, "--cache", name}
	withBus := append([]string{"--bus", url}, on...)
	call(exitOK, append([]string{"set", "b", "set"}, withBus...)...)
	lines := `{"key": "a", "value": "1", "ttl": "1m", "tags": ["x"]}` + "\n\n" + `{"key": "b", "value": "2"}` + "\n" + `{"key": "c", "value": "3"}` + "\n"
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(in, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(lines)
	warm := append([]string{"warm", in, "--resume", at, "--progress"}, withBus...)
	if got := call(exitOK, warm...); !strings.Contains(got, "2 stored, 1 were there, 0 failed") || !strings.Contains(got, "3 done") {
		t.Error(got)
	}
	for key, want := range map[string]string{"a": "1", "b": "set", "c": "3"} {
		if got := call(exitOK, append([]string{"get", key}, on...)...); !strings.Contains(got, want) {
			t.Errorf("%s: %q", key, got)
		}
	}
	write(lines + `{"key": "d", "value": "4"}` + "\n")
	if got := call(exitOK, warm...); !strings.Contains(got, "1 stored, 0 were there") {
		t.Errorf("it did not go on: %s", got)
	}
	for bad, why := range map[string]string{
		`{"key": "e"}`: "line 6", `{"key": "e", "value": 1}`: "line 6", `{"key": "e", "value": "", "ttl": "x"}`: "no positive duration",
		`{"key": "e", "value": "", "more": 1}`: "more", `{"key": "e", "value": ""} {}`: "more than one",
	} {
		write(lines + "{\"key\": \"d\", \"value\": \"4\"}\n" + bad)
		if got := call(exitFailure, warm...); !strings.Contains(got, why) {
			t.Errorf("%s: %s", bad, got)
		}
	}
	call(exitUsage, append([]string{"warm", in, "--rate", "0"}, on...)...)
	call(exitUsage, append([]string{"warm", in, "--ttl", "0s"}, on...)...)
	call(exitFailure, append([]string{"warm", in + "none"}, on...)...)
}
