package backfill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/strata-cache/strata/internal/jitter"
	"github.com/strata-cache/strata/policy"
	"github.com/strata-cache/strata/tier"
)

var (
	errNotKept = errors.New("backfill: it was loaded, and no tier kept it")
	errReload  = errors.New("backfill: Reload does not go with items that have a value")
	errTooMany = errors.New("backfill: too many keys failed")
)

// Run loads the items of a stream into a cache, beginning after what Options.Checkpoint has, until the stream ends, ctx does, a
// key too many has failed, or the stream, the checkpoint or Options.Failed return an error, which it returns. What was begun is over
// then, and the checkpoint is saved. That some keys failed is no error: Report.Failures has them.
func Run[K comparable, V any](ctx context.Context, cache *tier.Cache[K, V], stream Stream[K, V], o *Options[K]) (Report[K], error) {
	opts, err := o.withDefaults()
	if err != nil {
		return Report[K]{}, err
	}
	r := &run[K, V]{cache: cache, opts: opts, began: time.Now(), batches: make(chan *batch[K, V]), done: map[int]*batch[K, V]{}}
	r.limit = rate.NewLimiter(rate.Limit(opts.Rate), opts.Batch)
	if opts.Rate < 0 {
		r.limit.SetLimit(rate.Inf)
	}
	r.call = append(r.call, opts.Call...)
	if opts.Reload {
		r.call = append(r.call, tier.SkipLocalRead(), tier.SkipRemoteRead())
	}
	var after []byte
	if opts.Checkpoint != nil {
		if after, err = opts.Checkpoint.Load(ctx); err != nil {
			return Report[K]{}, err
		}
		r.report.Position, r.saved = after, after
	}
	within, end := context.WithCancelCause(ctx)
	r.end = end
	defer end(nil)
	stop := r.start(within)
	err = func() error {
		defer stop() // also if the stream panics
		return r.read(within, stream(within, after))
	}()
	if cause := context.Cause(within); cause != nil {
		err = cause
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = errors.Join(err, r.save(last), r.tell())
	return r.snapshot(), err
}

// A batch is what one worker does at a time.
type batch[K comparable, V any] struct {
	number int
	items  []Item[K, V]
	undone []bool // of each item: it is neither done nor told
}

type run[K comparable, V any] struct {
	cache *tier.Cache[K, V]
	opts  Options[K]
	call  []tier.Option
	limit *rate.Limiter
	began time.Time
	saved []byte // of the one goroutine that saves, and of Run when that has ended
	end   context.CancelCauseFunc

	batches chan *batch[K, V]

	mu     sync.Mutex
	report Report[K]            // guarded by mu, as below
	done   map[int]*batch[K, V] // that are over, before an earlier one
	next   int                  // the first that is not over
	stays  bool                 // the position does not move any more
}

// start starts the workers, and who tells how far they are. What it returns ends them when they have done what they were given.
func (r *run[K, V]) start(ctx context.Context) (stop func()) {
	var workers sync.WaitGroup
	for range r.opts.Workers {
		workers.Go(func() { // ends when batches is closed
			for b := range r.batches {
				if err := contained(func() error { return r.do(ctx, b) }); err != nil {
					r.end(err)
				}
			}
		})
	}
	over, ended := make(chan struct{}), make(chan struct{})
	go func() { // ends with over, and stop waits for it
		defer close(ended)
		tell, save := time.NewTicker(time.Second), time.NewTicker(r.opts.SavePause)
		defer tell.Stop()
		defer save.Stop()
		for {
			var err error
			select {
			case <-over:
				return
			case <-tell.C:
				err = r.tell()
			case <-save.C:
				err = contained(func() error { return r.save(ctx) })
			}
			if err != nil {
				r.end(err)
			}
		}
	}()
	return func() {
		close(r.batches)
		workers.Wait()
		close(over)
		<-ended
	}
}

// read makes batches of the items.
func (r *run[K, V]) read(ctx context.Context, items func(yield func(Item[K, V], error) bool)) (failed error) {
	b := new(batch[K, V])
	hand := func() bool {
		if len(b.items) == 0 {
			return true
		}
		b.undone = make([]bool, len(b.items))
		select {
		case r.batches <- b:
			b = &batch[K, V]{number: b.number + 1}
			return true
		case <-ctx.Done():
			return false
		}
	}
	for item, err := range items {
		switch {
		case err != nil:
			failed = err
		case item.Value != nil && r.opts.Reload:
			failed = errReload
		}
		if failed != nil || ctx.Err() != nil {
			break
		}
		if b.items = append(b.items, item); len(b.items) == r.opts.Batch && !hand() {
			return nil
		}
	}
	hand()
	return failed
}

// do does a batch: it asks for what is not done until nothing fails, or often enough.
func (r *run[K, V]) do(ctx context.Context, b *batch[K, V]) error {
	todo := make([]int, len(b.items))
	for i := range todo {
		todo[i] = i
		b.undone[i] = true
	}
	defer r.over(b)
	for try := 0; ; try++ {
		if err := r.limit.WaitN(ctx, len(todo)); err != nil {
			return nil // it has ended
		}
		errs := r.ask(ctx, b, todo)
		var again []int
		for n, i := range todo {
			if errs[n] != nil {
				again = append(again, i)
			} else {
				b.undone[i] = false
			}
		}
		if len(again) == 0 || ctx.Err() != nil {
			return nil
		}
		if try == r.opts.Retries {
			var last []error
			for n := range todo {
				if errs[n] != nil {
					last = append(last, errs[n])
				}
			}
			return r.failed(b, again, last)
		}
		todo = again
		pause := min(r.opts.Pause<<min(try, 7), 100*r.opts.Pause)
		timer := time.NewTimer(pause/2 + jitter.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil
		}
	}
}

// ask asks the cache for some items of a batch, and returns why each is not done.
func (r *run[K, V]) ask(ctx context.Context, b *batch[K, V], todo []int) []error {
	var keys, given []K
	answers := map[K]policy.Answer[V]{}
	for _, i := range todo {
		item := b.items[i]
		if item.Value == nil {
			keys = append(keys, item.Key)
			continue
		}
		given = append(given, item.Key)
		if _, twice := answers[item.Key]; !twice {
			answers[item.Key] = policy.Answer[V]{Value: *item.Value, TTL: item.TTL, Tags: item.Tags, Version: item.Version}
		}
	}
	loaded := r.cache.GetMany(ctx, keys, r.call...)
	put := r.cache.GetManyOrLoad(ctx, given, func(_ context.Context, keys []K) ([]policy.Answer[V], error) {
		all := make([]policy.Answer[V], len(keys))
		for i, k := range keys {
			all[i] = answers[k]
		}
		return all, nil
	}, r.call...)
	errs := make([]error, len(todo))
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, i := range todo {
		from := &loaded
		if b.items[i].Value != nil {
			from = &put
		}
		e := (*from)[0]
		*from = (*from)[1:]
		r.report.Tries++
		switch {
		case errors.Is(e.Err, tier.ErrNotFound):
			r.report.Absent++
		case e.Err != nil:
			errs[n] = e.Err
		case !e.Kept:
			errs[n] = errNotKept
		case e.Tier == tier.Source:
			r.report.Loaded++
		default:
			r.report.Present++
		}
	}
	return errs
}

// failed notes and tells what has failed each time.
func (r *run[K, V]) failed(b *batch[K, V], items []int, errs []error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for n, i := range items {
		f := Failure[K]{Key: b.items[i].Key, Err: errs[n]}
		r.report.Failed++
		r.report.Failures = append(r.report.Failures, f)
		if r.opts.Failed != nil {
			if err := r.opts.Failed(f.Key, f.Err); err != nil {
				return err
			}
			b.undone[i] = false
		}
	}
	if r.report.Failed >= r.opts.MaxFailed {
		last := r.report.Failures[len(r.report.Failures)-1]
		return fmt.Errorf("%w: %d, the last with: %w", errTooMany, r.report.Failed, last.Err)
	}
	return nil
}

// over notes that a batch is over, and moves the position to before the first item that is not done.
func (r *run[K, V]) over(b *batch[K, V]) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.done[b.number] = b; !r.stays; r.next++ {
		b := r.done[r.next]
		if b == nil {
			return
		}
		delete(r.done, r.next)
		for i, item := range b.items {
			if b.undone[i] {
				r.stays, r.done = true, map[int]*batch[K, V]{}
				return
			}
			if item.Position != nil {
				r.report.Position = item.Position
			}
		}
	}
	clear(r.done)
}

func (r *run[K, V]) snapshot() Report[K] {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report.Elapsed = time.Since(r.began)
	return r.report
}

func (r *run[K, V]) tell() error {
	if r.opts.Progress == nil {
		return nil
	}
	p := r.snapshot().Progress
	return contained(func() error { r.opts.Progress(p); return nil })
}

// save saves how far all is done, if that has changed.
func (r *run[K, V]) save(ctx context.Context) error {
	p := r.snapshot().Position
	if r.opts.Checkpoint == nil || p == nil || bytes.Equal(p, r.saved) {
		return nil
	}
	err := r.opts.Checkpoint.Save(ctx, p)
	if err == nil {
		r.saved = p
	}
	return err
}

// contained calls what is the application's on a goroutine that is not.
func contained(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("backfill: panic: %v", p)
		}
	}()
	return f()
}
