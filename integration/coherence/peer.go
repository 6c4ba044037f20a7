package coherence

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"

	"github.com/strata-cache/strata/integration/coherence/history"
	"github.com/strata-cache/strata/integration/coherence/node"
)

var errNodeGone = errors.New("the node is gone")

// A peer is the process of a node as the coordinator sees it. Its methods are safe for concurrent use.
type peer struct {
	process history.Process
	cmd     *exec.Cmd
	in      io.Closer
	tell    func(node.Message) // what is no reply
	ended   chan struct{}      // closed when the process is gone and all it said was read
	err     error              // how it ended; to be read after ended

	sending  sync.Mutex
	requests *gob.Encoder // guarded by sending

	mu      sync.Mutex
	last    int64
	waiting map[int64]chan node.Message // guarded by mu, as last; nil when nothing more comes
}

// startPeer starts a process and tells it what it is.
func startPeer(ctx context.Context, cmd *exec.Cmd, c *node.Config, tell func(node.Message)) (*peer, error) {
	ownGroup(cmd)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &peer{
		process: c.Process, cmd: cmd, in: in, tell: tell, ended: make(chan struct{}),
		requests: gob.NewEncoder(in), waiting: map[int64]chan node.Message{},
	}
	// Owner: the peer. Stop signal: the end of the process. Join: ended, in Close and kill.
	go p.listen(out)
	if _, err := p.ask(ctx, node.Request{Start: c}); err != nil {
		p.kill()
		return nil, fmt.Errorf("%v: %w", c.Process, err)
	}
	return p, nil
}

func (p *peer) listen(out io.Reader) {
	messages := gob.NewDecoder(out)
	for {
		var m node.Message
		if messages.Decode(&m) != nil {
			break
		}
		if m.Seq == 0 {
			p.tell(m)
			continue
		}
		p.mu.Lock()
		answer := p.waiting[m.Seq]
		delete(p.waiting, m.Seq)
		p.mu.Unlock()
		if answer != nil {
			answer <- m // has room
		}
	}
	_, _ = io.Copy(io.Discard, out)
	p.mu.Lock()
	for _, answer := range p.waiting {
		close(answer)
	}
	p.waiting = nil
	p.mu.Unlock()
	p.err = p.cmd.Wait()
	close(p.ended)
}

// ask sends a request and waits for its reply.
func (p *peer) ask(ctx context.Context, r node.Request) (node.Message, error) {
	answer := make(chan node.Message, 1)
	p.mu.Lock()
	if p.waiting == nil {
		p.mu.Unlock()
		return node.Message{}, errNodeGone
	}
	p.last++
	r.Seq = p.last
	p.waiting[r.Seq] = answer
	p.mu.Unlock()
	p.sending.Lock()
	err := p.requests.Encode(r)
	p.sending.Unlock()
	if err != nil {
		return node.Message{}, fmt.Errorf("%w: %w", errNodeGone, err)
	}
	select {
	case m, ok := <-answer:
		switch {
		case !ok:
			return node.Message{}, errNodeGone
		case m.Error != "":
			return m, errors.New(m.Error)
		}
		return m, nil
	case <-ctx.Done():
		return node.Message{}, ctx.Err()
	}
}

// kill ends the process with SIGKILL and waits until all that it had said was heard.
func (p *peer) kill() {
	_ = p.cmd.Process.Kill() // one that is gone is what is wanted
	_ = p.in.Close()
	<-p.ended
}

func (p *peer) pause() error  { return p.cmd.Process.Signal(sigPause) }
func (p *peer) resume() error { return p.cmd.Process.Signal(sigResume) }

// Close ends the process and waits for it.
func (p *peer) Close() error {
	_ = p.in.Close()
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	select {
	case <-p.ended:
		return p.err
	case <-timer.C:
		p.kill()
		return fmt.Errorf("%v did not end and was killed", p.process)
	}
}
