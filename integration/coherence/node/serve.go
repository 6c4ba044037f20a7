package node

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/strata-cache/strata/integration/coherence/clock"
	"github.com/strata-cache/strata/integration/coherence/history"
)

const (
	// reportEvery is how often what was read is told. What a node has not told when it is killed is not judged.
	reportEvery = 200 * time.Millisecond

	// callTimeout bounds one read or write.
	callTimeout = 5 * time.Second

	// endTimeout bounds the wait for writes that are repaired behind.
	endTimeout = 30 * time.Second
)

// node is one node.
type node struct {
	config   Config
	source   *Source
	cache    cache
	recorder *history.Recorder
	writes   writes

	sending sync.Mutex
	out     *gob.Encoder // guarded by sending

	stop    context.CancelFunc // of the traffic
	workers sync.WaitGroup     // of the traffic
	asked   sync.WaitGroup     // requests under way
}

// Serve is the whole life of a node. It returns when in ends.
func Serve(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	n := &node{out: gob.NewEncoder(out), stop: func() {}, writes: writes{turns: map[int]*sync.Mutex{}}}
	var reports sync.WaitGroup
	defer func() {
		cancel()
		n.workers.Wait()
		n.asked.Wait()
		reports.Wait()
		if n.cache != nil {
			err = errors.Join(err, n.cache.Close())
		}
		if n.source != nil {
			err = errors.Join(err, n.source.Close())
		}
	}()
	requests := gob.NewDecoder(in)
	for {
		var r Request
		switch err := requests.Decode(&r); {
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrClosedPipe):
			return nil
		case err != nil:
			return fmt.Errorf("node: %w", err)
		}
		if r.Start != nil {
			err := n.start(ctx, r.Start)
			n.reply(Message{Seq: r.Seq}, err)
			if err == nil {
				reports.Go(func() { n.report(ctx) }) // ends with ctx
			}
			continue
		}
		if n.cache == nil {
			n.reply(Message{Seq: r.Seq}, errors.New("not started"))
			continue
		}
		if r.Begin {
			n.begin(ctx)
			n.reply(Message{Seq: r.Seq}, nil)
			continue
		}
		// Owner: Serve. Stop signal: ctx, or its own end. Join: asked.
		n.asked.Go(func() { n.answer(ctx, r) })
	}
}

func (n *node) start(ctx context.Context, c *Config) (err error) {
	n.config, n.recorder = *c, history.NewRecorder(c.Process)
	if n.source, err = DialSource(ctx, c.Source, c.Process); err != nil {
		return err
	}
	if n.cache, err = newCache(ctx, c, n.source); err != nil {
		return err
	}
	return nil
}

func (n *node) answer(ctx context.Context, r Request) {
	m, err := Message{Seq: r.Seq}, error(nil)
	switch {
	case r.End:
		err = n.end(ctx)
		n.flush()
	case r.Read != nil:
		for _, key := range r.Read.Keys {
			n.read(ctx, key, false, r.Read.Final)
		}
		if r.Read.Final {
			n.flush()
		}
	case r.Write != nil:
		err = n.write(ctx, *r.Write)
	case r.State:
		m.State = &State{Stats: n.cache.Stats()}
	}
	n.reply(m, err)
}

func (n *node) reply(m Message, err error) {
	if err != nil {
		m.Error = err.Error()
	}
	n.send(m)
}

// send tells the coordinator. One that does not listen closes the input, too.
func (n *node) send(m Message) {
	n.sending.Lock()
	defer n.sending.Unlock()
	_ = n.out.Encode(m)
}

// report tells what was read, every now and then.
func (n *node) report(ctx context.Context) {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n.flush()
		}
	}
}

func (n *node) flush() {
	if runs, fails := n.recorder.Take(); len(runs)+len(fails) > 0 {
		n.send(Message{Runs: runs, Fails: fails})
	}
}

// read reads a key and records that.
func (n *node) read(ctx context.Context, key int, fresh, final bool) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	began := clock.Now()
	v, from, err := n.cache.Read(ctx, key, fresh)
	ended := clock.Now()
	if err != nil {
		n.recorder.Fail(began, err.Error())
		return
	}
	n.record(key, v, from, fresh, final, began, ended)
}

// readMany is read for several keys at once.
func (n *node) readMany(ctx context.Context, keys []int) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	began := clock.Now()
	entries := n.cache.ReadMany(ctx, keys)
	ended := clock.Now()
	for i, e := range entries {
		if e.Err != nil {
			n.recorder.Fail(began, e.Err.Error())
			continue
		}
		n.record(keys[i], e.Value, e.Tier, false, false, began, ended)
	}
}
