package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/strata-cache/strata/internal/remotekey"
	"github.com/strata-cache/strata/invalidation"
)

const watchLong = `Print what is announced on a bus, a line for each change, until interrupted:

  2026-11-21T22:07:31.042Z 6f1d20a9c3be4a58 invalidate products 42 43
  2026-11-21T22:07:31.977Z 6f1d20a9c3be4a58 tag products brand:acme
  2026-11-21T22:07:33.105Z b20c7745ad1e9036 clear products
  2026-11-21T22:07:40.310Z - missed gap

A line has the time at which it was heard, the node that announced it, what, for which cache, and
keys or tags. Keys are those of the program; "products/2" is version 2 of that cache. What is not plain
text is quoted as in Go. --json prints an object for each line, with the position in the bus's log; lists
with a key that is no text are in base64 there, as keys_base64.

"missed" says that something may be missing there, and why: it could not be had again after an outage
(gap, subscribed, incarnation), the output was not taken in time (slow), or it is of a later version (verb).
Nothing is left out without such a line. The connection is made anew by itself; what happens to it
is said on standard error, as is "watching", when everything announced from then on is printed.

Watching invalidates nothing. Once it watches, being interrupted is its end, and the exit code is 0.`

func newWatch(s streams) *cobra.Command {
	var bus, cache string
	var asJSON bool
	var timeout time.Duration
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Print what is invalidated, as it happens",
		Long:  watchLong,
		Example: "  strata watch --bus redis://localhost:6379\n" +
			"  strata watch --bus redis://localhost:6379 --cache products --json",
		Args: args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if timeout <= 0 {
				return usage(errors.New("--timeout must be positive"))
			}
			bus = cmp.Or(bus, os.Getenv(envBus))
			if bus == "" {
				return usage(fmt.Errorf("which bus? give --bus URL or set %s: %s", envBus, busForms))
			}
			var caches []string
			if cmd.Flags().Changed("cache") {
				caches = []string{cache}
			}
			show := line
			if asJSON {
				show = jsonLine
			}
			return runWatch(cmd.Context(), s, bus, caches, timeout, show)
		},
	}
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVar(&bus, "bus", "", "URL of the bus that the nodes listen to, redis://… (default $STRATA_BUS)")
	flags.StringVarP(&cache, "cache", "c", "", "name of one cache, as the program gives it to tier.New (default all)")
	flags.BoolVar(&asJSON, "json", false, "print a JSON object for each change")
	flags.DurationVar(&timeout, "timeout", 5*time.Second, "until it watches")
	return cmd
}

func runWatch(ctx context.Context, s streams, busURL string, caches []string, timeout time.Duration, show func(time.Time, invalidation.Change) string) (err error) {
	bus, err := openBus(ctx, busURL, func(e invalidation.Event) {
		if e.Kind != invalidation.EventFlush { // which is a line of its own
			fmt.Fprintln(s.err, "strata: bus:", printable(e.String()))
		}
	})
	if err != nil {
		return err
	}
	defer closeAll(&err, bus.Close)
	starting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := bus.Ping(starting); err != nil {
		return err
	}
	changes, err := bus.Watch(ctx, caches...)
	if err != nil {
		return usage(err)
	}
	fmt.Fprintln(s.err, "strata: watching", printable(redact(busURL)))
	for change := range changes {
		if _, err := io.WriteString(s.out, show(time.Now(), change)); err != nil {
			return err
		}
	}
	return nil
}

// heardFormat is how times are written.
const heardFormat = "2006-01-02T15:04:05.000Z07:00"

// line is a change for people.
func line(heard time.Time, c invalidation.Change) string {
	node, verb := c.Node.String(), c.Verb.String()
	version, keys := userKeys(c)
	if c.Missed != "" {
		verb, keys = "missed", []string{c.Missed}
	}
	fields := []string{heard.UTC().Format(heardFormat), node, verb, word(c.Cache)}
	switch {
	case c.Missed != "" && c.Cache == "":
		fields = []string{fields[0], "-", verb}
	case version != "1" && version != "":
		fields[3] = word(c.Cache + "/" + version)
	}
	for _, key := range keys {
		fields = append(fields, word(key))
	}
	return strings.Join(fields, " ") + "\n"
}

// watched is a change as watch --json prints it.
type watched struct {
	Time        string   `json:"time"`
	Verb        string   `json:"verb"` // or missed
	Cache       string   `json:"cache,omitempty"`
	Version     string   `json:"version,omitempty"` // of the cache, where there are keys
	Keys        []string `json:"keys,omitempty"`
	KeysBase64  [][]byte `json:"keys_base64,omitempty"` // if one is no text
	Missed      string   `json:"missed,omitempty"`
	Node        string   `json:"node,omitempty"`
	Incarnation string   `json:"incarnation"`
	Position    uint64   `json:"position"`
}

// jsonLine is a change for programs.
func jsonLine(heard time.Time, c invalidation.Change) string {
	version, keys := userKeys(c)
	w := watched{
		Time: heard.UTC().Format(heardFormat), Verb: c.Verb.String(), Cache: c.Cache, Version: version, Keys: keys, Missed: c.Missed,
		Incarnation: fmt.Sprintf("%x", c.Position.Incarnation[:]), Position: c.Position.N,
	}
	if c.Missed != "" {
		w.Verb = "missed"
	}
	if c.Node != (invalidation.NodeID{}) {
		w.Node = c.Node.String()
	}
	if slices.ContainsFunc(keys, func(key string) bool { return !utf8.ValidString(key) }) {
		w.Keys = nil
		for _, key := range keys {
			w.KeysBase64 = append(w.KeysBase64, []byte(key))
		}
	}
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(w); err != nil {
		return "{}\n" // strings and numbers only
	}
	return escapeJSON(b.String())
}

// escapeJSON writes what a terminal might obey as JSON writes control characters; it can only stand in strings.
func escapeJSON(text string) string {
	var b strings.Builder
	for _, r := range text {
		switch {
		case r == '\n' || strconv.IsPrint(r):
			b.WriteRune(r)
		case r < 0x10000:
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			r -= 0x10000
			fmt.Fprintf(&b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		}
	}
	return b.String()
}

// userKeys are the keys as the program's cache writes them, with its version; of a tag, and of what is no key of a cache, what was
// announced.
func userKeys(c invalidation.Change) (version string, keys []string) {
	if c.Verb != invalidation.VerbInvalidate && c.Verb != invalidation.VerbExpire {
		return "", c.Keys
	}
	for i, remoteKey := range c.Keys {
		its, _ := remotekey.Version(c.Cache, remoteKey)
		key, ok := remotekey.Split(remotekey.Prefix(c.Cache, its), remoteKey)
		if !ok || i > 0 && its != version {
			return "", c.Keys
		}
		version, keys = its, append(keys, key)
	}
	return version, keys
}

// word is text as one word of a line, quoted if it is not plain.
func word(text string) string {
	if text == "" || strings.ContainsAny(text, " \"\\") || printable(text) != text {
		return strconv.Quote(text)
	}
	return text
}

// printable is text without what a terminal might obey.
func printable(text string) string {
	for _, r := range text {
		if r == utf8.RuneError || !strconv.IsPrint(r) {
			quoted := strconv.Quote(text)
			return quoted[1 : len(quoted)-1]
		}
	}
	return text
}
