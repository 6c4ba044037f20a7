package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/strata-cache/strata/backfill"
	"github.com/strata-cache/strata/tier"
)

const warmLong = `Store what a file has in a cache of strings, where that has nothing: one JSON object a line,

  {"key": "en", "value": "hello", "ttl": "10m", "tags": ["greeting"]}

of which ttl and tags may be left out. What is there is left as it is. - as FILE, or none, reads
standard input.

The values are as old as the file: what changed since is served until its TTL ends. So use it where
nobody writes, before traffic comes, or with a short TTL. A program warms its own cache from its own
source, and without that doubt, by the package backfill.

With --resume FILE the command remembers there how far it came, and goes on after that when it is called
again with the same input; delete it to begin from the start. Without --bus, nodes of a cache that has
one load the values of a server that can lose writes (Redis, Hazelcast) anew.`

func newWarm(s streams) *cobra.Command {
	var f cacheFlags
	var o backfill.Options[string]
	var ttl time.Duration
	var resume string
	var progress bool
	cmd := &cobra.Command{
		Use:     "warm [FILE|-]",
		Short:   "Store what a file has in a cache, at a limited rate",
		Long:    warmLong,
		Example: "  strata warm --backend redis://localhost:6379 --cache greetings --rate 500 --resume at greetings.jsonl",
		Args:    args(cobra.MaximumNArgs(1)),
		RunE: func(cmd *cobra.Command, a []string) (err error) {
			if ttl <= 0 {
				return usage(errors.New("--ttl must be positive"))
			}
			if o.Rate <= 0 || o.Batch <= 0 {
				return usage(errors.New("--rate and --batch must be positive"))
			}
			in := s.in
			if len(a) == 1 && a[0] != "-" {
				file, err := os.Open(a[0])
				if err != nil {
					return err
				}
				defer file.Close()
				in = file
			}
			if resume != "" {
				o.Checkpoint = backfill.File(resume)
			}
			if progress {
				o.Progress = func(p backfill.Progress) {
					fmt.Fprintf(s.err, "%d done, %.0f a second, %d failed\n", p.Done(), p.Rate(), p.Failed)
				}
			}
			return f.with(cmd.Context(), func(ctx context.Context, out *tier.Outsider) error {
				r, err := backfill.Run(ctx, out.Cache(), backfill.Counted(linesOf(in, ttl)), &o)
				fmt.Fprintf(s.out, "%d stored, %d were there, %d failed, in %v\n", r.Loaded, r.Present+r.Absent, r.Failed, r.Elapsed.Round(time.Millisecond))
				if err == nil && r.Failed > 0 {
					err = fmt.Errorf("%d keys failed, the first %q: %w", r.Failed, r.Failures[0].Key, r.Failures[0].Err)
				}
				return err
			})
		},
	}
	f.add(cmd, true)
	f.timeout = 24 * time.Hour
	cmd.Flags().Lookup("timeout").DefValue = f.timeout.String()
	cmd.Flags().Float64Var(&o.Rate, "rate", 1000, "keys a second")
	cmd.Flags().IntVar(&o.Batch, "batch", 100, "keys at a time")
	cmd.Flags().DurationVar(&ttl, "ttl", 10*time.Minute, "how long a value may be served whose line does not say")
	cmd.Flags().StringVar(&resume, "resume", "", "file that remembers how far it came")
	cmd.Flags().BoolVar(&progress, "progress", false, "print how far it is, each second")
	return cmd
}

// linesOf reads items from lines of JSON.
func linesOf(in io.Reader, ttl time.Duration) iter.Seq2[backfill.Item[string, string], error] {
	return func(yield func(backfill.Item[string, string], error) bool) {
		lines := bufio.NewScanner(in)
		lines.Buffer(nil, maxInput)
		for n := 1; lines.Scan(); n++ {
			if len(bytes.TrimSpace(lines.Bytes())) == 0 {
				continue
			}
			item, err := itemOf(lines.Bytes(), ttl)
			if err != nil {
				err = fmt.Errorf("line %d: %w", n, err)
			}
			if !yield(item, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			yield(backfill.Item[string, string]{}, err)
		}
	}
}

func itemOf(line []byte, ttl time.Duration) (item backfill.Item[string, string], err error) {
	var l struct {
		Key   *string  `json:"key"`
		Value *string  `json:"value"`
		TTL   string   `json:"ttl"`
		Tags  []string `json:"tags"`
	}
	d := json.NewDecoder(bytes.NewReader(line))
	d.DisallowUnknownFields()
	if err := d.Decode(&l); err != nil {
		return item, err
	}
	if _, err := d.Token(); err != io.EOF {
		return item, errors.New("more than one object")
	}
	if l.Key == nil || l.Value == nil {
		return item, errors.New("key and value must be there, and be strings")
	}
	if l.TTL != "" {
		if ttl, err = time.ParseDuration(l.TTL); err != nil || ttl <= 0 {
			return item, fmt.Errorf("ttl %q is no positive duration", l.TTL)
		}
	}
	return backfill.Item[string, string]{Key: *l.Key, Value: l.Value, TTL: ttl, Tags: l.Tags}, nil
}
