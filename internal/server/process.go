package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// supervise is the program of the shell that runs each server. Its arguments are the server's folder and the server's
// command line; descriptor 3 is a pipe that the owner never writes to, descriptor 4 takes the server's pid.
//
// The guard's read returns only when the last writing end of that pipe is closed, which the system does for an owner
// that was killed too. It then kills the server first, so that nothing writes into the folder while that is removed, and
// last its own process group, for whatever the server forked. TERM is ignored from there on, because the shell, which
// sees its server gone at the same moment, tells the guard to end.
//
// HUP is ignored from the start: with its owner gone the process group is an orphan, and to an orphaned group with a
// stopped member the system sends HUP and CONT, which would end shell and guard and wake the server.
const supervise = `
trap '' HUP
dir=$1; shift
"$@" 3<&- 4>&- </dev/null &
server=$!
echo "$server" >&4
exec 4>&-
{ read -r _ <&3; trap '' TERM; kill -KILL "$server"; rm -rf -- "$dir"; kill -KILL 0; } 2>/dev/null &
guard=$!
exec 3<&-
wait "$server"; status=$?
kill -TERM "$guard" 2>/dev/null
wait "$guard" 2>/dev/null
exit "$status"
`

// process is one run of a server under its supervisor.
type process struct {
	pid  int
	log  string // file that receives the output of the server
	hold *os.File

	// endBy is the signal by which stop asks it to end.
	endBy syscall.Signal

	done chan struct{} // closed when supervisor and server are gone
	err  error         // the outcome; read it only after done is closed
}

// startProcess runs the command in dir, which the supervisor removes should the owner die.
func startProcess(dir string, argv []string) (*process, error) {
	logFile := filepath.Join(dir, "server.log")
	out, err := os.Create(logFile)
	if err != nil {
		return nil, fmt.Errorf("server: log file: %w", err)
	}
	defer out.Close()
	guardR, guardW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("server: guard pipe: %w", err)
	}
	defer guardR.Close()
	pidR, pidW, err := os.Pipe()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("server: pid pipe: %w", err), guardW.Close())
	}
	defer pidR.Close()

	cmd := exec.Command("/bin/sh", append([]string{"-c", supervise, "strata-supervisor", dir}, argv...)...)
	cmd.Dir = dir
	cmd.Stdout, cmd.Stderr = out, out
	cmd.ExtraFiles = []*os.File{guardR, pidW}
	ownGroup(cmd)
	err = cmd.Start()
	pidW.Close() // the reader below must see the end of the pipe should the shell die before it writes
	if err != nil {
		return nil, errors.Join(fmt.Errorf("server: start supervisor: %w", err), guardW.Close())
	}
	p := &process{log: logFile, hold: guardW, endBy: sigTerminate, done: make(chan struct{})}
	line, readErr := io.ReadAll(pidR)
	p.pid, err = strconv.Atoi(strings.TrimSpace(string(line)))

	// Owner: the Server. Stop signal: the process ends. Join: done, awaited by Stop, Kill and Close.
	go func() {
		defer close(p.done)
		p.err = cmd.Wait()
		guardW.Close()
	}()
	if err := errors.Join(readErr, err); err != nil {
		guardW.Close()
		<-p.done
		return nil, fmt.Errorf("server: supervisor gave no pid: %w", err)
	}
	return p, nil
}

// exited reports whether the process is gone.
func (p *process) exited() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// kill ends the process at once and waits until it is gone.
func (p *process) kill() {
	// An error means that it ended by itself meanwhile, which is what is wanted.
	_ = signalProcess(p.pid, sigKill)
	<-p.done
}

// stop asks the process to end, waits, and kills it when grace is over. It reports whether the process ended by itself.
func (p *process) stop(grace time.Duration) bool {
	_ = signalProcess(p.pid, p.endBy)
	_ = signalProcess(p.pid, sigResume) // a paused process acts on a signal only when it runs again
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-p.done:
		return true
	case <-timer.C:
		p.kill()
		return false
	}
}

// await polls ready until it says yes, the process ends, or ctx does. Errors of ready mean "not yet"; the last one is
// reported when time is up.
func (p *process) await(ctx context.Context, ready func(context.Context, *process) error) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := ready(ctx, p)
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return fmt.Errorf("server: ended while starting: %w%s", errors.Join(p.err, errExited), p.logTail())
		case <-ctx.Done():
			return fmt.Errorf("server: not ready: %w (last: %w)%s", ctx.Err(), err, p.logTail())
		case <-tick.C:
		}
	}
}

// errExited marks a start that failed because the server itself gave up: mostly its port was taken meanwhile.
var errExited = errors.New("process exited")

// logTail is the end of the server's output, for error messages.
func (p *process) logTail() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	const keep = 1500
	b = bytes.TrimSpace(b)
	if len(b) > keep {
		b = b[len(b)-keep:]
	}
	if len(b) == 0 {
		return ""
	}
	return "\nlast output:\n" + string(b)
}
