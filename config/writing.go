package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/policy/journal"
)

// writingFields say how a cache writes behind.
var writingFields = []field[settings]{
	{
		"journal", typeURL, none,
		"where `write-behind` keeps what the source has not got yet: a name under `journals`, a URL, or `none`. Under `defaults` it may stand for caches of any mode, so that `mode` is the one line to change",
		func(s *settings, v string) string { s.journal = v; return "" },
	},
	{
		"journal_bound", typeCount, "100000",
		"how many keys may wait in the journal; at least 1. Keys that wait already can be written beyond it",
		count(func(s *settings) *int { return &s.writing.Bound }, 1, math.MaxInt, ""),
	},
	{
		"when_full", typeFull, "block",
		"what a write of a further key does beyond `journal_bound`: `block` until there is room, `fail` at once, or `shed`: it is dropped and counted, and reports success",
		setFull,
	},
	{
		"batch_size", typeCount, "500",
		"how many writes the source is given at once; at least 1, at most 10000",
		count(func(s *settings) *int { return &s.writing.BatchSize }, 1, 10_000, ""),
	},
	{
		"flush_delay", typeDuration, "50ms",
		"how long a write waits for others when there are fewer than `batch_size`; or `off`",
		duration(func(s *settings) *time.Duration { return &s.writing.Delay }, 1, true),
	},
	{
		"flush_workers", typeCount, "2",
		"how many batches a process writes at a time; at least 1, at most 256",
		count(func(s *settings) *int { return &s.writing.Workers }, 1, 256, ""),
	},
	{
		"flush_timeout", typeDuration, upToTenSec,
		"bounds one batch at the source; at least 1ms, and at most a third of `take_over`, as is the default",
		duration(func(s *settings) *time.Duration { return &s.writing.FlushTimeout }, time.Millisecond, false),
	},
	{
		"take_over", typeDuration, "30s",
		"after what silence of a process others write what it was writing, where they share the journal; at least 1s",
		duration(func(s *settings) *time.Duration { return &s.writing.TakeOver }, time.Second, false),
	},
	{
		"min_backoff", typeDuration, "100ms",
		"the pause after a write's first failure; each further one is twice as long, up to `max_backoff`; at least 1ms",
		duration(func(s *settings) *time.Duration { return &s.writing.MinBackoff }, time.Millisecond, false),
	},
	{
		"max_backoff", typeDuration, "30s",
		"the longest pause between two attempts of a write; at least 1ms, and not shorter than `min_backoff`",
		duration(func(s *settings) *time.Duration { return &s.writing.MaxBackoff }, time.Millisecond, false),
	},
	{
		"max_attempts", typeCount, "5",
		"how often a write is tried that fails while others succeed, before it is a dead letter; at least 1, or `off`: it is tried for ever",
		count(func(s *settings) *int { return &s.writing.MaxAttempts }, 1, math.MaxInt, off),
	},
	{
		"drain_timeout", typeDuration, "10s",
		"how long closing the cache may go on writing what waits in the journal; or `off`: not at all. What is left stays there",
		duration(func(s *settings) *time.Duration { return &s.writing.DrainTimeout }, 1, true),
	},
}

// count returns the set of a field that takes from least to most, or also the word, if there is one, which it stores as 0.
func count(where func(*settings) *int, least, most int, word string) func(*settings, string) string {
	orWord := ""
	if word != "" {
		orWord = ", or " + word
	}
	return func(s *settings, v string) string {
		if word != "" && (v == word || v == "0") {
			*where(s) = 0
			return ""
		}
		n, err := strconv.Atoi(v)
		switch {
		case errors.Is(err, strconv.ErrRange) || n > most:
			return fmt.Sprintf("is too large: at most %d%s", most, orWord)
		case err != nil:
			return "is not a whole number" + orWord
		case n < least:
			return fmt.Sprintf("is too small: at least %d%s", least, orWord)
		}
		*where(s) = n
		return ""
	}
}

// checkWriting compares the fields of writing behind with each other and with the mode. at tells where the nearest of some
// fields was written.
func (c *cachePlan) checkWriting(at func(names ...string) place, p *problems) {
	behind := c.mode == policy.Behind.String()
	written := at("journal") != c.at // at this cache: what stands in the defaults is for those caches that write behind
	switch {
	case behind && c.journal == nil:
		p.add(at("mode", "journal"), "mode %s needs a journal: a name under journals, or a URL", c.mode)
	case !behind && c.journal != nil && written:
		p.add(at("journal"), "mode %s has no use for a journal: %s has, or let it stand in defaults", c.mode, policy.Behind)
	}
	w := c.writing
	if w.FlushTimeout > w.TakeOver/3 {
		p.add(at("flush_timeout", "take_over"), "flush_timeout %s is longer than a third of take_over %s", short(w.FlushTimeout), short(w.TakeOver))
	}
	if w.MaxBackoff < w.MinBackoff {
		p.add(at("max_backoff", "min_backoff"), "max_backoff %s is shorter than min_backoff %s", short(w.MaxBackoff), short(w.MinBackoff))
	}
}

// writingOptions are what the file says of writing behind, as package journal takes it.
func (c *cachePlan) writingOptions() journal.Options {
	w := c.writing
	if w.Delay == 0 {
		w.Delay = -1
	}
	if w.MaxAttempts == 0 {
		w.MaxAttempts = -1
	}
	if w.DrainTimeout == 0 {
		w.DrainTimeout = -1
	}
	return w
}
