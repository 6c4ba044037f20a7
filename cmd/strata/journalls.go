package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/strata-cache/strata/policy/journal"
)

const journalListLong = `Print what is pending in a queue, oldest first, a line for each key:

   AGE     SIZE  TRIES  MERGED             POSITION  WRITE   KEY
  1.2s      213      0       3  1882522980783751170  set     products/1/{42}

AGE is since the newest write of the key was accepted, SIZE that of its value in bytes, TRIES how often it
was taken by somebody who gives it to the source, and MERGED how many earlier writes it stands for.
Keys that are not plain text are quoted as in Go.

--dead prints dead letters instead: what the source has refused, since when, and why. --json prints
an object for each. How many there are goes to the standard error. Nothing is changed or taken.`

func newJournalList(s streams) *cobra.Command {
	var f journalFlags
	var dead, asJSON bool
	cmd := &cobra.Command{
		Use:     "ls",
		Short:   "Print what is pending, or dead letters",
		Long:    journalListLong,
		Example: "  strata journal ls --journal redis://localhost:6379 --name products/1\n  strata journal ls --journal redis://localhost:6379 --name products/1 --dead --json",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd.Context(), func(ctx context.Context, q journal.Queue) error {
				return runJournalList(ctx, s, &f, q, dead, asJSON)
			})
		},
	}
	f.add(cmd, time.Minute)
	cmd.Flags().BoolVar(&dead, "dead", false, "print dead letters")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object for each")
	return cmd
}

func runJournalList(ctx context.Context, s streams, f *journalFlags, q journal.Queue, dead, asJSON bool) (err error) {
	stats, err := q.Stats(ctx)
	if err != nil {
		return err
	}
	summary := fmt.Sprintf("strata: %s: %d pending, %d of them taken, %d dead, %d merged", f.where(), stats.Depth, stats.Taken, stats.Dead, stats.Merged)
	if !stats.Oldest.IsZero() {
		summary += ", the oldest for " + age(stats.Oldest)
	}
	fmt.Fprintln(s.err, summary)
	if !asJSON && (dead && stats.Dead > 0 || !dead && stats.Depth > 0) {
		head := fmt.Sprintf(entryForm, "AGE", "SIZE", "TRIES", "MERGED", "POSITION", "WRITE")
		if dead {
			head += "DEAD FOR  KEY  CAUSE"
		} else {
			head += "KEY"
		}
		fmt.Fprintln(s.out, head)
	}
	print := func(text string) bool {
		_, err = io.WriteString(s.out, text)
		return err == nil
	}
	var listed error
	if dead {
		listed = q.Dead(ctx, func(d journal.DeadLetter) bool {
			if asJSON {
				return print(entryJSON(d.Entry, &d))
			}
			return print(fmt.Sprintf("%s%8s  %s  %s\n", entryColumns(d.Entry), age(d.Buried), word(d.Key), printable(d.Cause)))
		})
	} else {
		listed = q.List(ctx, func(e journal.Entry) bool {
			if asJSON {
				return print(entryJSON(e, nil))
			}
			return print(entryColumns(e) + word(e.Key) + "\n")
		})
	}
	if err == nil {
		err = listed
	}
	return err
}

const entryForm = "%6s  %8s  %5s  %6s  %19s  %-6s  "

// entryColumns are what is printed of an entry before its key.
func entryColumns(e journal.Entry) string {
	return fmt.Sprintf(entryForm, age(e.Accepted), strconv.Itoa(len(e.Value)), strconv.Itoa(e.Attempts), strconv.Itoa(e.Merged),
		strconv.FormatUint(uint64(e.Position), 10), verb(e))
}

func verb(e journal.Entry) string {
	if e.Delete {
		return "delete"
	}
	return "set"
}

// age is how long ago it was, by this machine's clock, short.
func age(t time.Time) string {
	d := max(time.Since(t), 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%.1fm", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.1fh", d.Hours())
	}
	return fmt.Sprintf("%.0fd", d.Hours()/24)
}

// listedEntry is an entry as ls --json prints it.
type listedEntry struct {
	Key       string  `json:"key,omitempty"`
	KeyBase64 []byte  `json:"key_base64,omitempty"` // if it is no text
	Write     string  `json:"write"`                // set or delete
	Position  uint64  `json:"position"`
	ID        string  `json:"id"`
	Accepted  string  `json:"accepted"`
	Size      int     `json:"size"`
	Attempts  int     `json:"attempts"`
	Merged    int     `json:"merged"`
	Buried    string  `json:"buried,omitempty"`
	Cause     *string `json:"cause,omitempty"`
}

// entryJSON is an entry for programs; d is nil unless it is a dead letter.
func entryJSON(e journal.Entry, d *journal.DeadLetter) string {
	l := listedEntry{
		Key: e.Key, Write: verb(e), Position: uint64(e.Position), ID: fmt.Sprintf("%x", e.ID[:]),
		Accepted: e.Accepted.UTC().Format(heardFormat), Size: len(e.Value), Attempts: e.Attempts, Merged: e.Merged,
	}
	if !utf8.ValidString(e.Key) {
		l.Key, l.KeyBase64 = "", []byte(e.Key)
	}
	if d != nil {
		l.Buried, l.Cause = d.Buried.UTC().Format(heardFormat), &d.Cause
	}
	var b strings.Builder
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(l); err != nil {
		return "{}\n" // strings and numbers only
	}
	return escapeJSON(b.String())
}

// unquoted reads keys as word writes them.
func unquoted(keys []string) []string {
	out := make([]string, len(keys))
	for i, key := range keys {
		out[i] = key
		if text, err := strconv.Unquote(key); err == nil && strings.HasPrefix(key, `"`) && word(text) == key {
			out[i] = text
		}
	}
	return out
}
