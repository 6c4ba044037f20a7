package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/strata-cache/strata/tier"
)

// peer is a node as the coordinator sees it. Its methods are safe for concurrent use.
type peer struct {
	in   io.WriteCloser
	wait func() error // for the node's end, after in was closed
	done chan struct{}

	writing sync.Mutex // of in
	seq     atomic.Int64
	mu      sync.Mutex
	waiting map[int64]chan reply // guarded by mu; nil when nothing more comes

	reads, hits atomic.Uint64 // as last told
}

var errNodeGone = errors.New("a node ended")

func newPeer(in io.WriteCloser, out io.Reader, wait func() error) *peer {
	p := &peer{in: in, wait: wait, done: make(chan struct{}), waiting: make(map[int64]chan reply)}
	// Owner: the peer. Stop signal: the end of out, which follows that of in. Join: done, in Close.
	go p.listen(out)
	return p
}

// startProcess makes a node of a process: this program, called anew. The process ends when its input does, so it does
// not outlive this one.
func startProcess(ctx context.Context, stderr io.Writer) (*peer, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(context.WithoutCancel(ctx), exe)
	cmd.Args = []string{os.Args[0], demoNodeName}
	cmd.Stderr = stderr
	cmd.WaitDelay = time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, w := io.Pipe() // not StdoutPipe, which Wait may close before all was read
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	// Owner: the peer. Stop signal: the end of the process. Join: wait, in Close.
	go func() {
		err := cmd.Wait()
		w.Close()
		ended <- err
	}()
	return newPeer(in, out, func() error {
		kill := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		defer kill.Stop()
		return <-ended
	}), nil
}

// startHere makes a node within this process.
func startHere(ctx context.Context, n *node) *peer {
	inReader, in := io.Pipe()
	out, outWriter := io.Pipe()
	ended := make(chan error, 1)
	// Owner: the peer. Stop signal: the end of in. Join: wait, in Close.
	go func() {
		err := n.serve(context.WithoutCancel(ctx), inReader, outWriter)
		outWriter.Close()
		inReader.Close()
		ended <- err
	}()
	return newPeer(in, out, func() error { return <-ended })
}

func (p *peer) listen(out io.Reader) {
	defer close(p.done)
	replies := json.NewDecoder(out)
	for {
		var r reply
		if err := replies.Decode(&r); err != nil {
			break
		}
		if r.Seq == 0 {
			p.reads.Store(r.Reads)
			p.hits.Store(r.Hits)
			continue
		}
		p.mu.Lock()
		answer := p.waiting[r.Seq]
		delete(p.waiting, r.Seq)
		p.mu.Unlock()
		if answer != nil {
			answer <- r // has room
		}
	}
	_, _ = io.Copy(io.Discard, out) // a node that talks nonsense must not block
	p.mu.Lock()
	for _, answer := range p.waiting {
		close(answer)
	}
	p.waiting = nil
	p.mu.Unlock()
}

// ask sends a request and waits for its reply.
func (p *peer) ask(ctx context.Context, r request) (reply, error) {
	r.Seq = p.seq.Add(1)
	answer := make(chan reply, 1)
	p.mu.Lock()
	if p.waiting == nil {
		p.mu.Unlock()
		return reply{}, errNodeGone
	}
	p.waiting[r.Seq] = answer
	p.mu.Unlock()
	b, err := json.Marshal(r)
	if err != nil {
		return reply{}, err
	}
	p.writing.Lock()
	_, err = p.in.Write(append(b, '\n'))
	p.writing.Unlock()
	if err != nil {
		return reply{}, fmt.Errorf("%w: %w", errNodeGone, err)
	}
	select {
	case <-ctx.Done():
		return reply{}, ctx.Err()
	case a, ok := <-answer:
		switch {
		case !ok:
			return reply{}, errNodeGone
		case a.Down:
			return a, fmt.Errorf("%s: %w", a.Error, tier.ErrUnavailable)
		case a.Error != "":
			return a, errors.New(a.Error)
		}
		return a, nil
	}
}

// Close ends the node and waits for it.
func (p *peer) Close() error {
	_ = p.in.Close()
	err := p.wait()
	<-p.done
	return err
}
