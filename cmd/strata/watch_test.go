package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/strata-cache/strata/internal/remotekey"
	"github.com/strata-cache/strata/internal/servertest"
	"github.com/strata-cache/strata/invalidation"
)

// watchCommand is a strata watch at work.
type watchCommand struct {
	cmd   *exec.Cmd
	lines chan string // of standard output; closed at its end
	said  chan string // all of standard error, at its end
}

// startWatch starts strata watch, and returns when it watches.
func startWatch(t *testing.T, env []string, args ...string) *watchCommand {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &watchCommand{
		cmd:   exec.CommandContext(t.Context(), exe, append([]string{"watch", "--timeout", "60s"}, args...)...),
		lines: make(chan string, 1000), said: make(chan string, 1),
	}
	w.cmd.Env = append(append(os.Environ(), envMain+"=1"), env...)
	stdout, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := w.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan bool, 1)
	var read sync.WaitGroup
	read.Go(func() { // ends with the process
		defer close(w.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			w.lines <- s.Text()
		}
	})
	read.Go(func() { // ends with the process
		var said strings.Builder
		for s := bufio.NewScanner(stderr); s.Scan(); {
			said.WriteString(s.Text() + "\n")
			if strings.HasPrefix(s.Text(), "strata: watching ") {
				ready <- true
			}
		}
		w.said <- said.String()
		close(ready)
	})
	t.Cleanup(func() {
		_ = w.cmd.Process.Kill() // if it is there still
		read.Wait()
		_ = w.cmd.Wait()
	})
	if !<-ready {
		t.Fatalf("strata watch %q ended: %s", args, <-w.said)
	}
	return w
}

// next is the next line, without its time and node.
func (w *watchCommand) next(t *testing.T) string {
	t.Helper()
	select {
	case line, ok := <-w.lines:
		if !ok {
			t.Fatalf("strata watch ended: %s", <-w.said)
		}
		fields := strings.SplitN(line, " ", 3)
		if _, err := time.Parse(heardFormat, fields[0]); err != nil || len(fields) < 3 {
			return line
		}
		return fields[2]
	case <-time.After(30 * time.Second):
		t.Fatal("strata watch prints nothing")
		return ""
	}
}

// interrupt ends it as a person does, and returns its exit code and what it said.
func (w *watchCommand) interrupt(t *testing.T) (code int, said string) {
	t.Helper()
	if err := w.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for range w.lines { // until its end
	}
	said = <-w.said
	_ = w.cmd.Wait()
	return w.cmd.ProcessState.ExitCode(), said
}

// No bytes that come from the bus reach a terminal as anything but text, and none is lost.
func FuzzLinesAreTextThatCanBeReadBack(f *testing.F) {
	for _, text := range []string{"", "42", "a b", "\x1b[2J", "\u009b2J", "\xff", "\u202e", "\U000e0001", "\\", `"`, "\n", "ü", "\ufffd"} {
		f.Add("products", text)
		f.Add(text, "42")
	}
	f.Fuzz(func(t *testing.T, cache, key string) {
		for _, keys := range [][]string{{remotekey.Join(remotekey.Prefix(cache, "1"), key)}, {key}} {
			c := invalidation.Change{Message: invalidation.Message{Verb: invalidation.VerbInvalidate, Cache: cache, Keys: keys}}
			text, object := line(time.Now(), c), jsonLine(time.Now(), c)
			for _, s := range []string{text, object} {
				for _, r := range strings.TrimSuffix(s, "\n") {
					if !strconv.IsPrint(r) || !utf8.ValidString(s) {
						t.Fatalf("%q and %q are printed as %q", cache, key, s)
					}
				}
			}
			var w watched
			if err := json.Unmarshal([]byte(object), &w); err != nil {
				t.Fatalf("%s: %v", object, err)
			}
			_, want := userKeys(c)
			got := append([]string{}, w.Keys...)
			for _, key := range w.KeysBase64 {
				got = append(got, string(key))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q are printed as %s", want, object)
			}
			fields := strings.SplitN(text, " ", 4) // time, node, verb, the rest
			rest := strings.TrimSuffix(fields[3], "\n")
			for _, want := range []string{cache, want[0]} {
				got := rest
				if quoted, err := strconv.QuotedPrefix(rest); err == nil {
					got, _ = strconv.Unquote(quoted)
					rest = rest[len(quoted):]
				} else if got, rest, _ = strings.Cut(rest, " "); rest != "" {
					rest = " " + rest
				}
				if rest = strings.TrimPrefix(rest, " "); got != want {
					t.Errorf("%q is printed as %q in %q", want, got, text)
				}
			}
		}
	})
}

func TestLinesOfWhatWasMissed(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 21, 22, 7, 40, 310e6, time.UTC)
	missed := invalidation.Change{
		Message: invalidation.Message{Verb: invalidation.VerbClear}, Missed: "gap",
		Position: invalidation.Position{Incarnation: invalidation.Incarnation{0xab}, N: 7},
	}
	verb := missed
	verb.Missed, verb.Cache, verb.Node = "verb", "c", invalidation.NodeID{1}
	for _, c := range []struct {
		change       invalidation.Change
		line, object string
	}{
		{missed, "2026-11-21T22:07:40.310Z - missed gap\n", `{"time":"2026-11-21T22:07:40.310Z","verb":"missed","missed":"gap","incarnation":"ab000000000000000000000000000000","position":7}` + "\n"},
		{verb, "2026-11-21T22:07:40.310Z 0100000000000000 missed c verb\n", `{"time":"2026-11-21T22:07:40.310Z","verb":"missed","cache":"c","missed":"verb","node":"0100000000000000","incarnation":"ab000000000000000000000000000000","position":7}` + "\n"},
	} {
		if got := line(at, c.change); got != c.line {
			t.Errorf("printed %q, want %q", got, c.line)
		}
		if got := jsonLine(at, c.change); got != c.object {
			t.Errorf("printed %s, want %s", got, c.object)
		}
	}
}

func TestKeysOfABusAreNeverQuoted(t *testing.T) {
	t.Parallel()
	const key = "hunter2hunter2hunter2hunter2hunter2hunter2="
	for list, says := range map[string]string{
		key: "ID:KEY", "a:" + key: "base64", key + ":a": "id of entry 1", "a:" + strings.Repeat("00", 32): "random", "a:": "base64",
		"a:" + strings.Repeat("01", 31) + "02,a:" + strings.Repeat("01", 31) + "03": "told apart",
	} {
		ring, err := busKeys(list)
		if err == nil || ring != nil || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", list, err)
		}
	}
	if ring, err := busKeys(" "); ring != nil || err != nil {
		t.Errorf("%v, %v", ring, err)
	}
}

func TestWatchPrintsWhatOthersInvalidate(t *testing.T) {
	t.Parallel()
	for name, env := range map[string][]string{
		"unsigned": nil,
		"signed":   {envBusKeys + "=new:" + strings.Repeat("0123456789abcdef", 4) + ", old:" + strings.Repeat("fedcba9876543210", 4)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url, cache := servertest.Redis(t).URL(), servertest.Key(t)
			env := append([]string{envBus + "=" + url + "?timeout=15s", envBackend + "=" + url + "?timeout=15s"}, env...)
			all, one := startWatch(t, env), startWatch(t, env, "--cache", cache, "--json")
			lastLine, lastWants := "none", "none"
			for _, c := range []struct {
				args  []string
				line  string // after the cache's name
				wants string // in JSON
			}{
				{[]string{"--prefix", "4"}, `clear ` + cache, `"verb":"clear"`},
				{[]string{"42", "odd {key} 100%"}, `invalidate ` + cache + ` 42 "odd {key} 100%"`, `"version":"1","keys":["42","odd {key} 100%"]`},
				{[]string{"\x1b]0;x\a", "\xff"}, `invalidate ` + cache + ` "\x1b]0;x\a" "\xff"`, `"keys_base64":["G10wO3gH","/w=="]`},
				{[]string{"--cache-version", "2", "42"}, `invalidate ` + cache + `/2 42`, `"version":"2","keys":["42"]`},
				{[]string{"--tag", "brand:acme", "--tag", "rot \u009b"}, `tag ` + cache + ` brand:acme "rot \u009b"`, `"verb":"tag","cache":"` + cache + `","keys":["brand:acme","rot \u009b"]`},
				{[]string{"--all"}, `clear ` + cache, `"verb":"clear"`},
			} {
				if e := strata(t, "", "", env, append([]string{"invalidate", "--timeout", "60s", "--cache", cache}, c.args...)...); e.code != 0 {
					t.Fatalf("strata invalidate %q: %+v", c.args, e)
				}
				line := all.next(t)
				for line == lastLine { // a writer that does not know for sure announces again
					line = all.next(t)
				}
				if line != c.line {
					t.Errorf("after %q printed %q, want %q", c.args, line, c.line)
				}
				object := one.next(t)
				for strings.Contains(object, lastWants) {
					object = one.next(t)
				}
				lastLine, lastWants = c.line, c.wants
				var w watched
				if err := json.Unmarshal([]byte(object), &w); err != nil || w.Cache != cache || w.Position == 0 || w.Node == "" || !strings.Contains(object, c.wants) {
					t.Errorf("after %q printed %s, want %s; %v", c.args, object, c.wants, err)
				}
			}
			for _, w := range []*watchCommand{all, one} {
				if code, said := w.interrupt(t); code != 0 || strings.Contains(said, "goroutine ") {
					t.Errorf("interrupted it ended with %d: %s", code, said)
				}
			}
		})
	}
}
