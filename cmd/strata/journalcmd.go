package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/strata-cache/strata/internal/redisconn"
	"github.com/strata-cache/strata/policy/journal"
	"github.com/strata-cache/strata/policy/journal/filejournal"
	"github.com/strata-cache/strata/policy/journal/redisjournal"
)

// envJournal stands in for --journal.
const envJournal = "STRATA_JOURNAL"

// journalForms are the URLs of journals, for people.
const journalForms = "the path of a file, or redis://, redis-sentinel:// or redis-cluster://, or the same with rediss for TLS"

const journalLong = `Look after writes that programs have accepted under write-behind and that the source does not
have yet.

A journal holds a queue for each cache, called --name: NAME/VERSION, as in products/1. Keys are
written as ls prints them. A journal in a file can be looked at while no program has it open.`

func newJournal(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "journal",
		Short:   "Look after writes that wait for the source",
		Long:    journalLong,
		Example: "  strata journal ls --journal redis://localhost:6379 --name products/1\n  strata journal retry --journal redis://localhost:6379 --name products/1 --all",
		Args:    knownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_ = cmd.Help()
			return usage(errors.New("which command?"))
		},
	}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(newJournalList(s), newJournalDrain(s), newJournalRetry(s), newJournalPurge(s))
	return cmd
}

// journalFlags name a queue.
type journalFlags struct {
	url     string
	prefix  string
	name    string
	timeout time.Duration
}

func (f *journalFlags) add(cmd *cobra.Command, timeout time.Duration) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.url, "journal", "j", "", "URL of the journal, redis://…, or path of its file (default $STRATA_JOURNAL)")
	flags.StringVarP(&f.name, "name", "n", "", "name of the queue: that of the cache and its version, as products/1")
	flags.StringVar(&f.prefix, "prefix", redisjournal.DefaultPrefix, "the program's redisjournal.Options.Prefix")
	flags.DurationVar(&f.timeout, "timeout", timeout, "for the whole command")
}

// with opens the queue, which takes nothing from it, and calls do.
func (f *journalFlags) with(ctx context.Context, do func(ctx context.Context, q journal.Queue) error) (err error) {
	if f.timeout <= 0 {
		return usage(errors.New("--timeout must be positive"))
	}
	if f.name == "" {
		return usage(errors.New("which queue? give --name NAME"))
	}
	if f.url == "" {
		f.url = os.Getenv(envJournal)
	}
	if f.url == "" {
		return usage(fmt.Errorf("which journal? give --journal URL or set %s; a journal is %s", envJournal, journalForms))
	}
	j, err := f.open(ctx)
	if err != nil {
		return err
	}
	defer closeAll(&err, j.Close)
	q, err := j.Open(f.name, (*journal.Options)(nil).WithDefaults())
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, f.timeout)
	defer cancel()
	return do(ctx, q)
}

// open opens the journal. It makes no file.
func (f *journalFlags) open(ctx context.Context) (journal.Journal, error) {
	switch {
	case slices.Contains(redisconn.Schemes(), schemeOf(f.url)):
		j, err := redisjournal.Open(ctx, f.url, &redisjournal.Options{Prefix: f.prefix})
		return j, usage(err)
	case !f.inFile():
		return nil, usage(fmt.Errorf("journal %s: a journal is %s", redact(f.url), journalForms))
	}
	if _, err := os.Stat(f.url); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	return filejournal.Open(f.url, nil)
}

func (f *journalFlags) inFile() bool { return schemeOf(f.url) == "" }

// where names the queue for people.
func (f *journalFlags) where() string {
	url := f.url
	if !f.inFile() {
		url = redact(url)
	}
	return fmt.Sprintf("queue %s at %s", word(f.name), printable(url))
}

const drainLong = `Wait until nothing of a queue is pending, or --timeout is over, and say how many writes remain.

It writes nothing itself: only programs that have the cache open know how to write its source. So
at least one has to run. It is for the end of a deployment: before the last of them is stopped, or
before the server of the journal is.

A file is not waited for: while it can be looked at nobody writes what is in it.

Exit code 1 says that writes remain, and the message how many and where. Dead letters count for
nothing here: see strata journal ls --dead.`

func newJournalDrain(s streams) *cobra.Command {
	var f journalFlags
	cmd := &cobra.Command{
		Use:     "drain",
		Short:   "Wait until the source has all pending writes",
		Long:    drainLong,
		Example: "  strata journal drain --journal redis://localhost:6379 --name products/1 --timeout 5m",
		Args:    args(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.with(cmd.Context(), func(ctx context.Context, q journal.Queue) error { return runDrain(ctx, cmd.Context(), s, &f, q) })
		},
	}
	f.add(cmd, time.Minute)
	return cmd
}

// runDrain waits until ctx, which ends with called, the command's own.
func runDrain(ctx, called context.Context, s streams, f *journalFlags, q journal.Queue) error {
	last, err := q.Stats(ctx)
	if err != nil {
		return err
	}
	if f.inFile() && last.Depth > 0 {
		return fmt.Errorf("%d writes remain in %s, for the next start of its program", last.Depth, f.where())
	}
	first, began, told := last, time.Now(), time.Now()
	progress := newBar(s, "draining")
	defer progress.done()
	for last.Depth > 0 {
		timer := time.NewTimer(drainEach)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			if called.Err() != nil {
				err = errInterrupted
			}
			return errors.Join(fmt.Errorf("%d writes remain in %s", last.Depth, f.where()), err)
		}
		now, statsErr := q.Stats(ctx)
		if err = statsErr; err != nil {
			continue // it may come back in time
		}
		last = now
		first.Depth = max(first.Depth, last.Depth)
		progress.set(1-float64(last.Depth)/float64(first.Depth), fmt.Sprintf("%d left", last.Depth))
		if !isTerminal(s.err) && time.Since(told) >= time.Second {
			told = time.Now()
			fmt.Fprintf(s.err, "strata: %d left\n", last.Depth)
		}
	}
	_, err = fmt.Fprintf(s.out, "drained in %v; %d dead letters\n", time.Since(began).Round(time.Millisecond), last.Dead)
	return err
}

// drainEach is the time between two looks.
const drainEach = 100 * time.Millisecond

func newJournalRetry(s streams) *cobra.Command {
	return newLetters(s, "retry", "retried", "Make dead letters pending again",
		"Make dead letters pending again, so that programs give them to the source once more. One whose key has\na newer write is dropped.",
		func(ctx context.Context, q journal.Queue, keys []string) (int, error) { return q.Retry(ctx, keys...) })
}

func newJournalPurge(s streams) *cobra.Command {
	return newLetters(s, "purge", "purged", "Drop dead letters",
		"Drop dead letters: the source will never have these writes. What is pending stays.",
		func(ctx context.Context, q journal.Queue, keys []string) (int, error) { return q.Purge(ctx, keys...) })
}

// newLetters is a command that does something with dead letters.
func newLetters(s streams, name, done, short, long string, do func(context.Context, journal.Queue, []string) (int, error)) *cobra.Command {
	var f journalFlags
	var all bool
	cmd := &cobra.Command{
		Use:   name + " (KEY… | --all)",
		Short: short,
		Long:  long + " Keys are written as strata journal ls --dead prints them.\nPrints how many there were; none of those keys is no failure.",
		Example: "  strata journal " + name + " --journal redis://localhost:6379 --name products/1 'products/1/{42}'\n" +
			"  strata journal " + name + " --journal redis://localhost:6379 --name products/1 --all",
		RunE: func(cmd *cobra.Command, keys []string) error {
			switch {
			case len(keys) == 0 && !all:
				return usage(errors.New("what? give KEY… or --all"))
			case len(keys) > 0 && all:
				return usage(errors.New("KEY… and --all exclude each other"))
			}
			return f.with(cmd.Context(), func(ctx context.Context, q journal.Queue) error {
				n, err := do(ctx, q, unquoted(keys))
				if err == nil || n > 0 {
					fmt.Fprintf(s.out, "%d %s\n", n, done)
				}
				return err
			})
		},
	}
	f.add(cmd, 30*time.Second)
	cmd.Flags().BoolVar(&all, "all", false, "all of them")
	return cmd
}
